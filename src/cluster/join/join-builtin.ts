/**
 * The `join` builtin of an agent: finds the cluster, and learns from it where its API servers and its
 * other servers are and which settings it has. Certificates are the next unit's, and to the API this
 * node's components go through its own balancer.
 *
 * Each call is one round over all servers; a round that fails has a reason for each, and the unit's
 * backoff begins the next, for ever. A node that has joined before goes on without an answer: what it
 * was told is on disk, and it may be the servers that wait for the nodes.
 */
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { StartupError } from '../../error/startup-error.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Builtin } from '../../unit/builtin.ts';
import type { Layout } from '../layout.ts';
import { writeIfChanged } from '../../kernel/stored-file.ts';
import type { ClusterFinder } from './cluster-finder.ts';
import { joinClient } from './join-client.ts';
import type { ClientIdentity } from './join-request.ts';
import { readJoinedIfThere, writeJoined } from './joined.ts';
import { caHashOf, formatToken } from './token.ts';
import type { KnownServers } from './wire.ts';

export interface JoinPorts {
  readonly layout: Pick<Layout, 'agentTls' | 'agentToken' | 'joined'>;
  /** Where this node's components reach the API. */
  readonly apiServer: string;
  readonly finder: ClusterFinder;
  /** Of this node, when it has joined before. */
  readonly identity?: () => ClientIdentity | undefined;
  readonly clock: Clock;
  /** Tells a person. */
  readonly notice: (text: string) => void;
}

export function joinBuiltin(ports: JoinPorts): Builtin {
  const { layout, apiServer, finder, identity = () => undefined, clock, notice } = ports;
  return async ({ signal, log }) => {
    const before = await readJoinedIfThere(layout.joined);
    try {
      const { cluster, token } = await finder.find(signal);
      const { origin, authority, isVerified, failures } = cluster;
      const client = joinClient({ cluster, token, identity: identity(), clock, signal });
      const [{ servers }, settings] = await Promise.all([client.servers(), client.settings()]);
      await finder.learn(servers.map(({ join }) => join));
      if (await forgetOtherCluster(layout.agentTls, authority)) {
        notice('the authority of the cluster is another than before: this node asks for new certificates');
      }
      const apiServers = apiServersOf(servers, origin);
      await writeJoined(layout.joined, { apiServer, apiServers, settings });
      // With the hash of the authority, also where it was given without: from now on no other is believed.
      await writeIfChanged(layout.agentToken, `${formatToken({ ...token, caHash: caHashOf(authority) })}\n`, 0o600);
      const others = failures.length === 0 ? '' : ` (${failures.join('; ')})`;
      const text = `the cluster was found through ${origin}${others}; its API is at ${apiServers.join(', ')}`;
      if (before === undefined || failures.length > 0) notice(text);
      log(text);
      if (!isVerified) notice(`the token has no hash of the authority: ${origin} was believed unseen`);
    } catch (error) {
      signal.throwIfAborted();
      const isExpected = error instanceof StartupError && (error.code === 'ERR_JOIN' || error.code === 'ERR_TOKEN');
      if (before === undefined || !isExpected) throw error;
      notice(
        `${error.message}; going on with what is known from before: the API is at ${before.apiServers.join(', ')}`,
      );
    }
  };
}

/** host:port of each server with an API. */
function apiServersOf(servers: KnownServers['servers'], origin: string): string[] {
  const apiServers = servers.flatMap(({ api }) => api ?? []);
  if (apiServers.length > 0) return apiServers;
  throw new StartupError('ERR_JOIN', `${origin} knows of no server with an API yet`, { origin });
}

/** Certificates of a cluster that this node was of before are good for nothing. @returns whether there were any */
async function forgetOtherCluster(agentTls: string, authority: string): Promise<boolean> {
  const file = path.join(agentTls, 'server-ca.crt');
  const kept = await readFile(file, 'utf8').catch(() => undefined);
  if (kept === undefined || kept === authority) return false;
  // Without the authorities all certificates count as missing; keys are kept.
  for (const name of ['server-ca.crt', 'client-ca.crt']) await rm(path.join(agentTls, name), { force: true });
  return true;
}
