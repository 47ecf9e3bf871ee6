/**
 * The `api-source` builtin of a server without an API: lets its node find the API servers as an agent
 * does, by what an agent has on disk after it has joined. Whom it asks is this machine's own join
 * server, which knows them from etcd; so nobody else has to be named.
 */
import type { Clock } from '../../kernel/clock.ts';
import type { Builtin } from '../../unit/builtin.ts';
import { knownServersText, readKnownServers } from '../discovery/known-servers-file.ts';
import { withTold } from '../discovery/known-servers.ts';
import type { Layout } from '../layout.ts';
import { readIfThere, writeIfChanged } from '../../kernel/stored-file.ts';
import { readToken } from './cluster-token.ts';
import { readJoinedIfThere, writeJoined } from './joined.ts';
import type { CriticalSettings } from './wire.ts';

export interface ApiSourcePorts {
  readonly layout: Pick<Layout, 'serverTls' | 'serverToken' | 'nodeToken' | 'agentToken' | 'knownServers' | 'joined'>;
  /** Of this machine's join server. */
  readonly origin: string;
  /** Where this node's components reach the API. */
  readonly apiServer: string;
  readonly settings: CriticalSettings;
  readonly clock: Clock;
}

export function apiSourceBuiltin({ layout, origin, apiServer, settings, clock }: ApiSourcePorts): Builtin {
  return async ({ log }) => {
    await writeIfChanged(layout.agentToken, `${await readToken(layout, 'node')}\n`, 0o600);
    const { known } = readKnownServers(await readIfThere(layout.knownServers), clock.wallMs());
    await writeIfChanged(layout.knownServers, knownServersText(withTold(known, [origin], clock.wallMs())), 0o600);
    const before = await readJoinedIfThere(layout.joined);
    await writeJoined(layout.joined, { apiServer, apiServers: before?.apiServers ?? [], settings });
    log(`the API servers are asked for at ${origin}, and reached at ${apiServer}`);
  };
}
