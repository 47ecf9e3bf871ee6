/**
 * `k3s-lite internal WHAT`: services of ours that run as units, off the supervisor's event loop. Not
 * for people: hidden from the help, and their options may change.
 */
import * as z from 'zod';
import { exitCode } from '../../error/codes.ts';
import { StartupError } from '../../error/startup-error.ts';
import { systemClock } from '../../kernel/clock.ts';
import { parseDurationMs } from '../../kernel/duration.ts';
import { defaultTimes } from '../../vip/coordination/timing.ts';
import { balances, elections } from '../../vip/model.ts';
import { flapHalfLifeMs } from '../../vip/plan/flap-penalty.ts';
import type { CommandInput, CommandRun } from '../command.ts';

const manifestsSchema = z.object({ dataDir: z.string(), server: z.url(), disable: z.string().default('') });
const balancerSchema = z.object({ dataDir: z.string(), config: z.string() });
const port = z.coerce.number().int().min(1).max(65535);
const apiBalancerSchema = z.object({ dataDir: z.string(), port, policy: z.string().optional() });
const etcdBalancerSchema = z.object({ dataDir: z.string(), port });
const joinServerSchema = z.object({
  dataDir: z.string(),
  server: z.url(),
  port,
  nodeName: z.string(),
  nodeIp: z.ipv4(),
  apiPort: port,
  etcdPort: port,
  /** What others may ask of this machine, with commas between. */
  has: z.string(),
  clusterCidr: z.string(),
  serviceCidr: z.string(),
  clusterDns: z.string(),
  clusterDomain: z.string(),
  /** Empty: none. */
  apiserverVip: z.string().default(''),
  nodeMonitorGracePeriod: z
    .union([z.literal('never'), z.string().refine((text) => parseDurationMs(text) !== undefined)])
    .transform((text) => parseDurationMs(text)),
});

const etcdSnapshotsSchema = z.object({
  dataDir: z.string(),
  endpoint: z.url(),
  nodeName: z.string(),
  schedule: z.string(),
  retention: z.coerce.number().int().min(1),
  name: z.string(),
  dir: z.string(),
});

const etcdWatchSchema = z.object({ dataDir: z.string(), endpoint: z.url(), metrics: z.url() });

const podRoutesSchema = z.object({
  dataDir: z.string(),
  kubeconfig: z.string(),
  nodeName: z.string(),
  clusterCidr: z.string(),
});

const peersSchema = z.object({
  dataDir: z.string(),
  kubeconfig: z.string(),
  nodeName: z.string(),
  nodeIp: z.ipv4(),
  port,
});

const milliseconds = z.coerce.number().int().min(0).max(3_600_000);
const vipSchema = z.object({
  stateDir: z.string(),
  kubeconfig: z.string(),
  nodeName: z.string(),
  namespace: z.string().default('kube-system'),
  /** With commas between. */
  addresses: z
    .string()
    .default('')
    .transform((text) => text.split(',').filter((each) => each !== ''))
    .pipe(z.array(z.union([z.ipv4(), z.ipv6()]))),
  /** With the URL of this machine's API server, and the folder of what it is asked with. */
  apiserverVip: z.ipv4().optional(),
  apiserver: z.url().optional(),
  tls: z.string().default(''),
  /** As `--vip-pool` gives them, with commas between; a name begins another pool. */
  pool: z
    .string()
    .default('')
    .transform((text) => text.split(/,(?=[^,=]*=)/).filter((each) => each !== '')),
  /** As `--vip-window` gives them, with semicolons between. */
  window: z
    .string()
    .default('')
    .transform((text) => text.split(';').flatMap((each) => (each.trim() === '' ? [] : [each.trim()]))),
  defaultClass: z.enum(['true', 'false']).default('false'),
  controlSocket: z.string().optional(),
  interface: z.string().optional(),
  capacity: z.coerce.number().min(0.01).max(1000).default(1),
  lingerMs: milliseconds.default(1000),
  flapHalfLifeMs: milliseconds.min(1).default(flapHalfLifeMs),
  election: z.enum(elections).default('coordinator'),
  balance: z.enum(balances).default('count'),
  leaseDuration: milliseconds.default(defaultTimes.leaseDurationMs),
  renewDeadline: milliseconds.default(defaultTimes.renewDeadlineMs),
  retryPeriod: milliseconds.default(defaultTimes.retryPeriodMs),
});

const freezeSchema = z.object({
  pids: z
    .string()
    .regex(/^\d+(?:,\d+)*$/)
    .transform((text) => text.split(',').map(Number)),
  forMs: z.coerce.number().int().min(1).max(60_000),
});

/** Each runs until its signal aborts, and then rejects with its reason; a freeze ends by itself. */
const services: Readonly<Record<string, (input: CommandInput) => Promise<unknown>>> = {
  async manifests(input) {
    const { dataDir, server, disable } = parse('manifests', manifestsSchema, input);
    const { internalManifests } = await import('../../app/internal-manifests.ts');
    const disabled = disable.split(',').filter((name) => name !== '');
    return internalManifests({ dataDir, server, disabled, ...around(input) });
  },
  async balancer(input) {
    const { dataDir, config } = parse('balancer', balancerSchema, input);
    const { internalBalancer } = await import('../../app/internal-balancer.ts');
    return internalBalancer({ dataDir, config, ...around(input) });
  },
  async 'api-balancer'(input) {
    const { internalApiBalancer } = await import('../../app/internal-api-balancer.ts');
    return internalApiBalancer({ ...parse('api-balancer', apiBalancerSchema, input), ...around(input) });
  },
  async 'etcd-balancer'(input) {
    const { internalEtcdBalancer } = await import('../../app/internal-etcd-balancer.ts');
    return internalEtcdBalancer({ ...parse('etcd-balancer', etcdBalancerSchema, input), ...around(input) });
  },
  async 'etcd-snapshots'(input) {
    const { dir: folder, ...rest } = parse('etcd-snapshots', etcdSnapshotsSchema, input);
    const { internalEtcdSnapshots } = await import('../../app/internal-etcd-snapshots.ts');
    return internalEtcdSnapshots({ ...rest, folder, ...around(input) });
  },
  async 'etcd-watch'(input) {
    const parsed = parse('etcd-watch', etcdWatchSchema, input);
    const { internalEtcdWatch } = await import('../../app/internal-etcd-watch.ts');
    return internalEtcdWatch({ ...parsed, ...around(input) });
  },
  async 'join-server'(input) {
    const parsed = parse('join-server', joinServerSchema, input);
    const { dataDir, server, clusterCidr, serviceCidr, clusterDns, clusterDomain } = parsed;
    const settings = { clusterCidr, serviceCidr, clusterDns, clusterDomain };
    const has = new Set(parsed.has.split(','));
    const own = {
      name: parsed.nodeName,
      ip: parsed.nodeIp,
      joinPort: parsed.port,
      apiPort: parsed.apiPort,
      hasApi: has.has('api'),
      etcdPort: parsed.etcdPort,
      hasEtcd: has.has('etcd'),
    };
    const { internalJoinServer } = await import('../../app/internal-join-server.ts');
    const vipApiserver = parsed.apiserverVip === '' ? undefined : parsed.apiserverVip;
    const nodeMonitorGraceMs = parsed.nodeMonitorGracePeriod;
    return internalJoinServer({
      ...{ dataDir, server, own, settings, vipApiserver, nodeMonitorGraceMs },
      ...around(input),
    });
  },
  async peers(input) {
    const parsed = parse('peers', peersSchema, input);
    const { internalPeers } = await import('../../app/internal-peers.ts');
    return internalPeers({ ...parsed, ...around(input) });
  },
  async vip(input) {
    const parsed = parse('vip', vipSchema, input);
    const {
      leaseDuration,
      renewDeadline,
      retryPeriod,
      interface: device,
      pool,
      window,
      defaultClass,
      apiserverVip: vip,
      apiserver: url,
      tls,
      ...rest
    } = parsed;
    const times = { leaseDurationMs: leaseDuration, renewDeadlineMs: renewDeadline, retryPeriodMs: retryPeriod };
    const { internalVip } = await import('../../app/internal-vip.ts');
    const services = {
      pools: pool,
      windows: window,
      takesUnclassed: defaultClass === 'true',
      controlSocket: rest.controlSocket,
      apiServer: vip === undefined || url === undefined ? undefined : { vip, url, tls },
    };
    return internalVip({ ...rest, ...times, ...services, interface: device, ...around(input) });
  },
  async freeze(input) {
    const { pids, forMs } = parse('freeze', freezeSchema, input);
    const { freeze } = await import('../../process/freeze.ts');
    return freeze({ pids, forMs, clock: systemClock, signal: input.signal });
  },
  async 'pod-routes'(input) {
    const parsed = parse('pod-routes', podRoutesSchema, input);
    const { internalPodRoutes } = await import('../../app/internal-pod-routes.ts');
    return internalPodRoutes({ ...parsed, ...around(input) });
  },
};

const around = ({ io, env, signal }: CommandInput) => ({ env, log: (line: string) => io.out(`${line}\n`), signal });

function parse<T>(what: string, schema: z.ZodType<T>, { options }: CommandInput): T {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  const missing = parsed.error.issues.map(({ path, message }) => `--${path.join('.')}: ${message}`).join('; ');
  throw new StartupError('ERR_USAGE', `cannot run ${what}: ${missing}`, { what });
}

export const run: CommandRun = async (input) => {
  const [what = ''] = input.args;
  const service = Object.hasOwn(services, what) ? services[what] : undefined;
  if (service === undefined) {
    const known = Object.keys(services).join(', ');
    throw new StartupError('ERR_USAGE', `there is no internal service "${what}"; known are ${known}`, { what });
  }
  try {
    await service(input);
    return exitCode.ok;
  } catch (error) {
    // Told to end: that is how it ends well.
    if (input.signal.aborted) return exitCode.ok;
    throw error;
  }
};
