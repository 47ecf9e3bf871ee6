/**
 * `k3s-lite drill failover`: freezes the control plane of this machine for a while, as a hung machine
 * would be, and watches a client that reaches all API servers through a balancer like the agents'.
 *
 * The freezing is a process of its own: should this one be killed, everything goes on all the same.
 */
import { balancerStream } from '../balancer/balancer-event.ts';
import { createBalancer } from '../balancer/balancer.ts';
import { createCheck } from '../balancer/create-check.ts';
import { eventText } from '../balancer/event-text.ts';
import { netForwarder } from '../balancer/net-forwarder.ts';
import { apiInTime } from '../cluster/api-in-time.ts';
import { apiServers, leadersOf } from '../cluster/drill/cluster-view.ts';
import { askSteadily, drillObject } from '../cluster/drill/drill-client.ts';
import { drillReport, type DrillReport } from '../cluster/drill/drill-report.ts';
import { kubeClient, type KubeClient, type KubeCredentials } from '../cluster/kube-client.ts';
import { readUserKubeconfig } from '../cluster/kubeconfigs.ts';
import { layoutOf } from '../cluster/layout.ts';
import type { ControlClient } from '../control/client.ts';
import { StartupError } from '../error/startup-error.ts';
import { linkedAbort } from '../kernel/abort.ts';
import { sleep, type Clock } from '../kernel/clock.ts';
import { formatDurationMs } from '../kernel/duration.ts';
import { describeAddress } from '../probe/connection.ts';
import { runProgram } from '../process/run-program.ts';
import { readDataRecord } from './data-record.ts';
import type { Paths } from './paths.ts';

/** What a server is to the others. Its node and its pods are left alone. */
const serverUnits = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'join-server', 'peers'];
/** Before the freeze, so that there is something to compare with; after it, to see everything well again. */
const aroundMs = 3_000;
/** Of the questions before and after. */
const answerWithinMs = 10_000;
/** Etcd needs more than half of its members. Source: etcd, "Fault tolerance". */
const fewestServers = 3;

export interface DrillPlan {
  readonly server: string;
  /** host:port of this machine's API server. */
  readonly own: string;
  /** Of the others. */
  readonly others: readonly string[];
  readonly units: readonly { readonly unit: string; readonly pid: number }[];
}

export interface DrillPlace {
  readonly paths: Paths;
  readonly client: Pick<ControlClient, 'status'>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** @throws StartupError ERR_CONFIG when this machine is no server of a cluster that can lose one; ERR_CONTROL when nothing runs */
export async function planDrill({ paths, client, clock, signal }: DrillPlace): Promise<DrillPlan> {
  const { units } = await client.status();
  const running = units.flatMap(({ unit, pid }) =>
    serverUnits.includes(unit) && pid !== undefined ? [{ unit, pid }] : [],
  );
  const { nodeName = '', nodeIp = '' } = readDataRecord(paths.dataDir) ?? {};
  if (!running.some(({ unit }) => unit === 'kube-apiserver')) {
    throw refused('no API server runs on this machine: a drill is begun on the server that is to fail');
  }
  using api = kubeClient(await credentialsOf(paths), clock);
  const servers = await apiInTime({ limitMs: answerWithinMs, clock, signal }, (end) => apiServers(api, end));
  const own = servers.find((server) => server.startsWith(`${nodeIp}:`));
  const others = servers.filter((server) => server !== own);
  if (own !== undefined && servers.length >= fewestServers) return { server: nodeName, own, others, units: running };
  throw refused(
    `the cluster has ${servers.length === 1 ? 'one API server' : `${String(servers.length)} API servers`} (${servers.join(', ')}): one of ${String(fewestServers)} may fail, and none of fewer`,
  );
}

export interface DrillOptions extends DrillPlace {
  readonly forMs: number;
  readonly boundMs: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Told what is done at the moment. */
  readonly tell: (line: string) => void;
}

/** Does what the plan says. Everything goes on when it returns or throws. */
export async function runDrill(plan: DrillPlan, options: DrillOptions): Promise<DrillReport> {
  const { paths, clock, signal, forMs, boundMs, env, tell } = options;
  const credentials = await credentialsOf(paths);
  const { serverTls } = layoutOf(paths);
  const events = balancerStream({ clock });
  using _told = events.subscribe({
    onEvent({ event }) {
      const text = event.type === 'lb.server' ? eventText(event) : undefined;
      if (text !== undefined) tell(text);
    },
  });
  await using balancer = createBalancer({
    createCheck: (address) => createCheck({ kind: 'readyz', ca: `${serverTls}/server-ca.crt` }, address),
    events,
    clock,
    random: Math.random,
  });
  const forwarder = await netForwarder({ listen: { host: '127.0.0.1', port: 0 }, routes: balancer.routes, clock });
  balancer.attach(forwarder);
  // Alone at first: the client begins with the server that will fail, and sticks to it.
  balancer.update([{ address: plan.own, weight: 1 }]);
  const connect = (): KubeClient =>
    kubeClient({ ...credentials, url: `https://${describeAddress({ kind: 'tcp', ...forwarder.address })}` }, clock);

  const ask = <T>(question: (client: KubeClient, end: AbortSignal) => Promise<T>) =>
    apiInTime({ limitMs: answerWithinMs, clock, signal }, async (end) => {
      using client = connect();
      return await question(client, end);
    });
  const before = await ask(leadersOf);
  balancer.update([plan.own, ...plan.others].map((address) => ({ address, weight: 1 })));

  const zeroMs = clock.monotonicMs();
  using end = linkedAbort(signal);
  const asking = askSteadily({ connect, clock, zeroMs, signal: end.signal });
  let [awayFromMs, awayUntilMs] = [0, 0];
  try {
    tell(`a client asks through a balancer, ${plan.own} first`);
    await sleep(clock, aroundMs, signal);
    tell(`${plan.server} is frozen for ${formatDurationMs(forMs)}`);
    awayFromMs = clock.monotonicMs() - zeroMs;
    await freezeElsewhere(plan, forMs, env, signal);
    awayUntilMs = clock.monotonicMs() - zeroMs;
    tell(`${plan.server} goes on`);
    await sleep(clock, aroundMs, signal);
  } finally {
    end.abort(new Error('the drill is over'));
  }
  const samples = await asking;
  const after = await ask(leadersOf);
  await ask((client, stop) => client.delete(drillObject, stop)).catch(() => undefined); // it does no harm
  return drillReport({
    server: plan.server,
    others: plan.others,
    frozen: plan.units.map(({ unit }) => unit),
    awayFromMs,
    awayUntilMs,
    samples,
    leaders: { before, after },
    boundMs,
  });
}

async function freezeElsewhere(
  { units }: DrillPlan,
  forMs: number,
  env: DrillOptions['env'],
  signal: AbortSignal,
): Promise<void> {
  const pids = units.map(({ pid }) => String(pid)).join(',');
  const own: [string, string] = [process.execPath, process.argv[1] ?? ''];
  const argv = [...own, 'internal', 'freeze', '--pids', pids, '--for-ms', String(forMs)] as const;
  const { exit, stderr } = await runProgram({ argv, env, signal });
  if (exit.kind === 'code' && exit.code === 0) return;
  throw new Error(`the server cannot be frozen: ${stderr.trim()}`);
}

function credentialsOf({ dataDir }: Paths): Promise<KubeCredentials> {
  return readUserKubeconfig(`${layoutOf({ dataDir, runDir: '' }).serverCred}/admin.kubeconfig`);
}

const refused = (why: string): StartupError => new StartupError('ERR_CONFIG', `no drill: ${why}`, { why });
