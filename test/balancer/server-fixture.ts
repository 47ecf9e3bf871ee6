/** Every situation a server can be in and every input it can get, for the tests of the server table. */
import { emptyRouting, type Rules, type Server, type ServerState } from '../../src/balancer/routing-state.ts';
import type { ServerInput } from '../../src/balancer/server-table.ts';
import { Draft } from '../../src/balancer/routing-draft.ts';

export const nowMs = 100_000;
export const address = '10.0.0.1:6443';
export const other = '10.0.0.2:6443';

export const plainServer: Server = {
  address,
  incarnation: 1,
  state: 'unchecked',
  sinceMs: nowMs - 1000,
  isDefault: false,
  isListed: true,
  isLeaving: false,
  isDraining: false,
  isSuspect: false,
  weight: 1,
  rank: 0.5,
  connections: 0,
  closingByMs: undefined,
  brokenInARow: 0,
  dialMs: undefined,
  lastError: undefined,
  isReprieved: false,
  answeredAtMs: undefined,
  dialledAtMs: undefined,
  mutedAtMs: undefined,
  unheardSinceMs: undefined,
};

const situationsOf: Record<ServerState, Readonly<Record<string, Partial<Server>>>> = {
  invalid: { invalid: { connections: 2, isListed: false } },
  failed: {
    failed: {},
    'failed, with connections': { connections: 2 },
    'failed, default': { isDefault: true },
    'failed, by a check': { lastError: { source: 'check', reason: '500', atMs: nowMs - 1000 } },
    'failed, by a silent check': {
      connections: 2,
      lastError: { source: 'check', reason: 'silent', atMs: nowMs - 1000, silentSinceMs: nowMs - 2000 },
    },
    'failed, unheard': {
      unheardSinceMs: nowMs - 1000,
      lastError: { source: 'heartbeat', reason: 'silent', atMs: nowMs - 1000 },
    },
  },
  standby: {
    standby: { isDefault: true, isListed: false },
    'standby, with connections': { isDefault: true, isListed: false, connections: 2 },
  },
  unchecked: {
    unchecked: {},
    'unchecked, with connections': { connections: 2 },
    'unchecked, default': { isDefault: true },
  },
  recovering: {
    recovering: {},
    'recovering, with connections': { connections: 2 },
    'recovering, default': { isDefault: true },
  },
  healthy: {
    healthy: {},
    'healthy, with connections': { connections: 2 },
    'healthy, default': { isDefault: true },
    'healthy, breaking': { brokenInARow: 3, connections: 1 },
  },
  preferred: {
    preferred: {},
    'preferred, with connections': { connections: 2 },
    'preferred, default': { isDefault: true },
    'preferred, for long': { sinceMs: nowMs - 60_001 },
    'preferred, breaking': { brokenInARow: 3, connections: 1 },
  },
  active: {
    active: { connections: 2, answeredAtMs: nowMs },
    'active, idle': { answeredAtMs: nowMs },
    'active, suspect': { connections: 2, isSuspect: true },
    'active, default': { connections: 2, isDefault: true, answeredAtMs: nowMs },
    'active, breaking': { brokenInARow: 3, connections: 1, answeredAtMs: nowMs },
    'active, never checked': { connections: 2 },
  },
};

export const situations: ReadonlyMap<string, Server> = new Map(
  Object.entries(situationsOf).flatMap(([state, variants]) =>
    Object.entries(variants).map(([name, change]): [string, Server] => [
      name,
      { ...plainServer, state: state as ServerState, ...change },
    ]),
  ),
);

/** One line: where an input leads and what is closed; "·" when nothing changes. Another server, on standby, is left. */
export function walk(situation: string, input: ServerInput, rules: Partial<Rules> = {}): string {
  const server = situations.get(situation);
  if (server === undefined) throw new Error(`no situation ${situation}`);
  const idle: Server = { ...plainServer, address: other, incarnation: 2 };
  const draft = new Draft({ ...emptyRouting(rules), servers: [server, idle] }, { nowMs, random: () => 0.5 });
  draft.input(address, input, 'test');
  const { state, effects } = draft.step();
  const after = state.servers.find((each) => each.address === address);
  const closed = effects.flatMap((effect) =>
    effect.type === 'tell' && effect.event.type === 'lb.closing' && effect.event.server === address
      ? [`close as ${effect.event.reason}`]
      : [],
  );
  const mark =
    after !== undefined && after.isSuspect !== server.isSuspect ? [after.isSuspect ? 'suspect' : 'trusted'] : [];
  const parts = [...mark, ...closed];
  if (after?.state === server.state && parts.length === 0) return '·';
  return [after?.state ?? 'gone', ...parts.map((part) => `+ ${part}`)].join(' ');
}
