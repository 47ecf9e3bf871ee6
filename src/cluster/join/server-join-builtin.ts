/**
 * The `join` builtin of a further server: fetches from any server of the cluster what this machine
 * cannot make by itself, the authorities and the tokens, after the two have agreed on the settings.
 *
 * It happens once. Whatever a server needs to start again lies on its disk then, so the second start
 * asks nobody: every other server may be down, the one that `--server` names may be gone for good.
 *
 * Each call is one round over all servers; a round that fails has a reason for each, and the unit's
 * backoff begins the next, for ever.
 */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { StartupError } from '../../error/startup-error.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Builtin } from '../../unit/builtin.ts';
import { rememberAddresses } from '../etcd/known-members.ts';
import type { Layout } from '../layout.ts';
import { readIfThere, writeIfChanged } from '../../kernel/stored-file.ts';
import type { ClusterFinder } from './cluster-finder.ts';
import { writeTokens } from './cluster-token.ts';
import { joinClient } from './join-client.ts';
import { readServerJoined, writeServerJoined } from './server-joined.ts';
import { caHashOf, type Token } from './token.ts';
import type { AuthorityFiles, CriticalSettings } from './wire.ts';

export interface ServerJoinPorts {
  readonly layout: Pick<
    Layout,
    'serverTls' | 'serverToken' | 'nodeToken' | 'serverJoined' | 'etcdData' | 'etcdMembers'
  >;
  readonly nodeName: string;
  readonly settings: CriticalSettings;
  readonly vipApiserver?: string | undefined;
  readonly finder: ClusterFinder;
  readonly token: () => Promise<Token>;
  readonly clock: Clock;
  /** Tells a person. */
  readonly notice: (text: string) => void;
}

export function serverJoinBuiltin(ports: ServerJoinPorts): Builtin {
  const { layout, settings } = ports;
  return async ({ signal, log }) => {
    const before = await readServerJoined(layout.serverJoined);
    if (before !== undefined) {
      requireAgreement(settings, before.settings);
      log('this machine has joined before: it starts from its own data');
      return;
    }
    if (await isServerAlready(ports)) {
      log('this machine has data of the token’s cluster: it starts from that');
      return;
    }
    log(await joinOnce(ports, signal));
  };
}

async function joinOnce(ports: ServerJoinPorts, signal: AbortSignal): Promise<string> {
  const { layout, nodeName, settings, vipApiserver, finder, clock, notice } = ports;
  const { cluster, token } = await finder.find(signal);
  const { origin, authority, isVerified, failures } = cluster;
  const own = await ownAuthority(layout);
  if (own !== undefined && own !== authority) {
    throw refused(
      `${path.dirname(layout.serverJoined)} is of another cluster than ${origin}; empty it, or choose another --data-dir`,
    );
  }
  if (token.user !== 'server') {
    throw refused('a server needs the server token; `k3s-lite token show` on a server prints it');
  }
  const client = joinClient({ cluster, token, clock, signal });
  const { servers } = await client.servers();
  if (servers[0]?.name === nodeName) {
    throw refused(
      `the server at ${origin} has the name of this machine, ${nodeName}: it is this machine itself, or --node-name has to differ`,
    );
  }
  await client.compareSettings({ ...settings, ...(vipApiserver === undefined ? {} : { vipApiserver }) });
  const { authorities, nodePassword } = await client.bootstrap();
  await writeAuthorities(layout.serverTls, authorities);
  await writeTokens(layout, caHashOf(authority), { server: token.password, node: nodePassword });
  await finder.learn(servers.map(({ join }) => join));
  await rememberAddresses(
    layout.etcdMembers,
    servers.flatMap(({ etcd }) => (etcd === undefined ? [] : [`https://${etcd}`])),
  );
  await writeServerJoined(layout.serverJoined, { settings });
  if (!isVerified) notice(`the token has no hash of the authority: ${origin} was believed unseen`);
  const others = failures.length === 0 ? '' : ` (${failures.join('; ')})`;
  const text = `joined the cluster through ${origin}${others}`;
  notice(text);
  return text;
}

/** The first server, whose configuration names the others by now; no network is needed to know that. */
async function isServerAlready({ layout, token }: ServerJoinPorts): Promise<boolean> {
  const own = await ownAuthority(layout);
  if (own === undefined || !existsSync(path.join(layout.etcdData, 'member'))) return false;
  return (await token()).caHash === caHashOf(own);
}

const ownAuthority = ({ serverTls }: Pick<Layout, 'serverTls'>): Promise<string | undefined> =>
  readIfThere(path.join(serverTls, 'server-ca.crt'));

/** Keys before certificates, and the one that tells whose they are last: half of it is fetched again. */
async function writeAuthorities(folder: string, files: AuthorityFiles): Promise<void> {
  const rank = (name: string) => (name === 'server-ca.crt' ? 2 : name.endsWith('.crt') ? 1 : 0);
  for (const name of Object.keys(files).sort((a, b) => rank(a) - rank(b))) {
    const file = path.join(folder, name);
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    await writeIfChanged(file, files[name] ?? '', name.endsWith('.key') ? 0o600 : 0o644);
  }
}

/** What was agreed on at joining holds for ever: the objects in the cluster were made by it. */
function requireAgreement(ours: CriticalSettings, agreed: CriticalSettings): void {
  const names = Object.keys(agreed) as (keyof CriticalSettings)[];
  const different = names.filter((name) => ours[name] !== agreed[name]);
  if (different.length === 0) return;
  const list = different.map((name) => `${name} is ${ours[name]} here and ${agreed[name]} in the cluster`).join('; ');
  throw refused(`the servers of one cluster must agree: ${list}`);
}

const refused = (why: string): StartupError =>
  new StartupError('ERR_JOIN_REFUSED', `cannot join as a server: ${why}`, { why });
