/**
 * The service behind units/cluster/join-server.yaml: the desk with everything that it gives away,
 * each time as it is on disk. Certificates that were renewed are taken over while it runs.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { linkedAbort } from '../../kernel/abort.ts';
import { sleep, type Clock } from '../../kernel/clock.ts';
import { apiInTime } from '../api-in-time.ts';
import { isAnswering } from '../cluster-dns.ts';
import { keepDnsEndpoints } from '../dns-endpoints.ts';
import { dnsLeaving } from '../dns-leaving.ts';
import { etcdClient, type EtcdClient } from '../etcd/etcd-client.ts';
import { rememberMembers } from '../etcd/known-members.ts';
import type { KubeClient } from '../kube-client.ts';
import { layoutOf, type Layout } from '../layout.ts';
import { etcdTls } from '../members/own-member.ts';
import { keepMembers } from '../members/keep-members.ts';
import { keepNodeConditions } from '../node-lifecycle/keep-node-conditions.ts';
import { readPasswords } from './cluster-token.ts';
import { failureLimit } from './failure-limit.ts';
import type { JoinDeskPorts } from './join-desk.ts';
import { startJoinServer } from './join-server.ts';
import { keepTokens } from './keep-tokens.ts';
import { claimNode } from './node-passwords.ts';
import { addressesOf, apiLeases, serverList, type OwnServer, type ServerListPorts } from './server-list.ts';
import type { AuthorityFiles, CriticalSettings } from './wire.ts';

export interface ServeJoinOptions {
  readonly dataDir: string;
  readonly own: OwnServer;
  readonly settings: CriticalSettings;
  readonly vipApiserver?: string | undefined;
  /** After it a silent node is not believed to be Ready; undefined: nobody here judges nodes. */
  readonly nodeMonitorGraceMs?: number | undefined;
  readonly connect: () => Promise<KubeClient>;
  readonly clock: Clock;
  readonly log: (line: string) => void;
  /** To whoever supervises: "READY=1", "STATUS=…". */
  readonly notify: (...lines: readonly string[]) => void;
  readonly signal: AbortSignal;
}

/** The API may be away for as long as it likes, a joining node not: it asks again. */
const claimWithinMs = 8_000;
/** How often the certificate on disk is compared. They are renewed weeks before their end. */
const renewalEveryMs = 60_000;

/** Runs until `signal` aborts, and then rejects with its reason. @throws what listening fails with */
export async function serveJoin(options: ServeJoinOptions): Promise<never> {
  const { own, clock, log, notify, signal, nodeMonitorGraceMs: graceMs } = options;
  const layout = layoutOf({ dataDir: options.dataDir, runDir: '' });
  let pair = await servingPair(layout);
  const clientAuthority = await readFile(path.join(layout.serverTls, 'client-ca.crt'), 'utf8');
  await using server = await startJoinServer({
    host: '0.0.0.0',
    port: own.joinPort,
    ...pair,
    clientAuthority,
    desk: deskPorts(options, layout),
  });
  using life = linkedAbort(signal);
  const loop = { connect: options.connect, clock, random: Math.random, log, signal: life.signal };
  // What every server looks after, whoever else does: they end with this function, and never before.
  for (const kept of [
    keepMembers({
      ...loop,
      etcd: etcdOf(own, layout, clock),
      remember: (members) => rememberMembers(layout.etcdMembers, members),
    }),
    keepDnsEndpoints({
      ...loop,
      nodeName: own.name,
      isLeaving: dnsLeaving(layout.dnsLeaving).isSet,
      isAnswering: (server, until) => isAnswering(server, options.settings.clusterDomain, clock, until),
      warn: (text) => notify(`X_WARNING=${text}`),
    }),
    keepTokens({ ...loop, etcd: etcdOf(own, layout, clock), files: layout }),
    ...(graceMs === undefined ? [] : [keepNodeConditions({ ...loop, graceMs })]),
  ]) {
    kept.catch(() => undefined);
  }
  log(`machines can join at port ${String(server.port)}`);
  notify('READY=1', `STATUS=machines can join at port ${String(server.port)}`);
  for (;;) {
    await sleep(clock, renewalEveryMs, signal);
    try {
      const present = await servingPair(layout);
      if (present.certificate === pair.certificate) continue;
      server.renew(present.certificate, present.key);
      pair = present;
      log('its certificate was renewed');
    } catch (error) {
      log(`cannot take a renewed certificate over: ${String(error)}`);
    }
  }
}

async function servingPair({ serverTls }: Layout): Promise<{ certificate: string; key: string }> {
  const [certificate, key] = await Promise.all(
    ['serving-join.crt', 'serving-join.key'].map((name) => readFile(path.join(serverTls, name), 'utf8')),
  );
  return { certificate: certificate ?? '', key: key ?? '' };
}

function deskPorts(options: ServeJoinOptions, layout: Layout): JoinDeskPorts {
  const { own, settings, connect, clock, log, signal } = options;
  const read = (name: string) => readFile(path.join(layout.serverTls, name), 'utf8');
  const signer = async (name: 'client' | 'server') => {
    const [make, certificate, key] = await Promise.all([
      import('../certificate-maker.ts'),
      read(`${name}-ca.crt`),
      read(`${name}-ca.key`),
    ]);
    return make.loadSigner(certificate, key);
  };
  return {
    clock,
    limit: failureLimit({ clock }),
    passwords: () => readPasswords(layout),
    async authorities() {
      const [server, client] = await Promise.all([read('server-ca.crt'), read('client-ca.crt')]);
      return { server, client };
    },
    async signers() {
      const [client, server] = await Promise.all([signer('client'), signer('server')]);
      return { client, server };
    },
    async authorityFiles(): Promise<AuthorityFiles> {
      const entries = authorityNames.map(async (name) => [name, await read(name)] as const);
      return Object.fromEntries(await Promise.all(entries));
    },
    servers: serverList({ own, ...serverSource(etcdOf(own, layout, clock)), clock, signal }),
    settings,
    vipApiserver: options.vipApiserver,
    async claimNode(name, password) {
      using client = await connect();
      return await apiInTime({ limitMs: claimWithinMs, clock, signal }, (end) =>
        claimNode({ client, name, password, clock, signal: end }),
      );
    },
    log,
  };
}

/** etcd as this machine reaches it: its own, or what stands before those of the others. */
const etcdOf = ({ etcdPort }: OwnServer, { serverTls }: Layout, clock: Clock): EtcdClient =>
  etcdClient({ endpoints: [`https://127.0.0.1:${String(etcdPort)}`], tls: etcdTls(serverTls), clock });

const serverSource = (etcd: EtcdClient): Pick<ServerListPorts, 'members' | 'apiAddresses'> => ({
  // What this member knows is good enough, and known without a quorum too.
  members: (signal) => etcd.memberList(signal, { isLocal: true }),
  apiAddresses: async (signal) => addressesOf(await etcd.keys(apiLeases, signal)),
});

/** What another server of the same cluster cannot make by itself. Source: certificate-plan.ts. */
const authorityNames: readonly string[] = [
  ...['server-ca', 'client-ca', 'request-header-ca', 'etcd/ca'].flatMap((name) => [`${name}.crt`, `${name}.key`]),
  'service.key',
];
