/**
 * What the balancer knows: one list of servers (L1), and nothing beside it. Connections are counted
 * here and held elsewhere (connection-pool); checks are made elsewhere and only reported (L3).
 */
import { hostOfServer } from '../probe/connection.ts';

/**
 * In ascending order of preference; the number of each is its metric. Source: K3s's balancer.
 *
 * - invalid: removed from the list; is never dialled, and gone with its last connection
 * - failed: the last dial or check of it failed, too many of its connections broke, or its machine fell silent; dialled only when nothing better is left
 * - standby: the default server, while it is not in the list
 * - unchecked: new, nothing is known of it
 * - recovering: one dial or check went well since it was new or failed
 * - healthy: well for a while
 * - preferred: has become well lately: others may be about to go down, as in a rolling update
 * - active: carries the connections (under `sticky` there is one such server)
 */
export const serverStates = [
  'invalid',
  'failed',
  'standby',
  'unchecked',
  'recovering',
  'healthy',
  'preferred',
  'active',
] as const;
export type ServerState = (typeof serverStates)[number];

export const stateNumber = (state: ServerState): number => serverStates.indexOf(state);

export const policies = ['sticky', 'weighted-random'] as const;
/** `sticky`: all connections to one server, another only when that one fails. `weighted-random`: each dial draws. */
export type Policy = (typeof policies)[number];

/** What was last heard of a server that was not well. */
export interface ServerError {
  readonly source: 'dial' | 'check' | 'connection' | 'heartbeat';
  readonly reason: string;
  readonly atMs: number;
  /** Of a check without an answer: when it was first asked in vain. */
  readonly silentSinceMs?: number | undefined;
}

/** Why connections of a server are closed. */
export type CloseReason =
  /** The server failed, and another one is left. */
  | 'failed'
  /** It was taken from the list. */
  | 'removed'
  /** Another server carries the connections now. */
  | 'takeover'
  /** An operator drains it. */
  | 'drained'
  /** Nothing is heard of its machine, and another server is left. */
  | 'silent';

export interface Server {
  readonly address: string;
  /** Tells this entry from an earlier one of the same address. */
  readonly incarnation: number;
  readonly state: ServerState;
  /** When it came into this state, in monotonic milliseconds. */
  readonly sinceMs: number;
  /** Tried when nothing of the list can be; not part of the list unless that names it too. */
  readonly isDefault: boolean;
  readonly isListed: boolean;
  /** No longer named by the list, and kept until a server that is has shown that it is there. */
  readonly isLeaving: boolean;
  /** An operator lets it run empty. */
  readonly isDraining: boolean;
  /** Active, but slower than another one when it was last dialled, silent on a connection, or one of its connections broke. */
  readonly isSuspect: boolean;
  /** Share of new connections under `weighted-random`; 0: only when nothing else is left. */
  readonly weight: number;
  /** Drawn when it was added: breaks ties, so that not every node chooses the same server. */
  readonly rank: number;
  readonly connections: number;
  /** All its connections are being closed, at the latest then; unset by the next one that is opened. */
  readonly closingByMs: number | undefined;
  /** Connections in a row that the server broke, since it was last known to be well. */
  readonly brokenInARow: number;
  /** Moving average of the time that a dial took. */
  readonly dialMs: number | undefined;
  readonly lastError: ServerError | undefined;
  /** Its check failed or its machine fell silent, and no other server had answered since: its connections may go on until one does. */
  readonly isReprieved: boolean;
  /** When a check last went well. */
  readonly answeredAtMs: number | undefined;
  /** When a dial last went well. */
  readonly dialledAtMs: number | undefined;
  /** When a connection to it last fell silent: accepted, told something, and not even greeted. */
  readonly mutedAtMs: number | undefined;
  /** Since when its machine, which did, answers none; undefined: it does, or never did. */
  readonly unheardSinceMs: number | undefined;
}

/** What the heartbeats of this node show. */
export interface Heartbeats {
  /** Hosts whose machines did answer, and do not any more. */
  readonly lost: readonly string[];
}

/** How long connections may go on when they are to be closed, in milliseconds; an idle one is closed earlier. */
export interface Graces {
  readonly removedMs: number;
  readonly takeoverMs: number;
  readonly drainedMs: number;
}

export interface Rules {
  readonly policy: Policy;
  readonly graces: Graces;
  /** From `preferred` to `healthy`. Source: K3s, 60 s. */
  readonly settleMs: number;
  /** Broken connections in a row that count as a failed check. */
  readonly brokenLimit: number;
  /** Where the balancer itself listens: never a server. */
  readonly ownAddresses: readonly string[];
}

export interface RoutingState {
  readonly rules: Rules;
  /** In no order that means anything; see {@link candidates} for the order of dials. */
  readonly servers: readonly Server[];
  /** An operator's choice, tried first while it is in the list. */
  readonly pinned: string | undefined;
  readonly lastIncarnation: number;
  readonly heartbeats: Heartbeats;
}

export const defaultRules: Rules = {
  policy: 'sticky',
  graces: { removedMs: 5000, takeoverMs: 1000, drainedMs: 30_000 },
  settleMs: 60_000,
  brokenLimit: 3,
  ownAddresses: [],
};

export const emptyRouting = (rules: Partial<Rules> = {}): RoutingState => ({
  rules: { ...defaultRules, ...rules },
  servers: [],
  pinned: undefined,
  lastIncarnation: 0,
  heartbeats: { lost: [] },
});

export const serverAt = (state: RoutingState, address: string): Server | undefined =>
  state.servers.find((server) => server.address === address);

/** A server that may be dialled. */
export const isDialable = ({ state }: Server): boolean => state !== 'invalid';

/** Known to be there: it has answered since it was new or failed. */
export const isProven = ({ state }: Server): boolean => stateNumber(state) >= stateNumber('recovering');

/** Since when the machine of a server is silent. */
export function unheardSince(
  { address, unheardSinceMs }: Pick<Server, 'address' | 'unheardSinceMs'>,
  { lost }: Heartbeats,
  nowMs: number,
): number | undefined {
  return lost.includes(hostOfServer(address)) ? (unheardSinceMs ?? nowMs) : undefined;
}

/** Its machine has fallen silent. */
export const isUnheard = ({ unheardSinceMs }: Server): boolean => unheardSinceMs !== undefined;

/** It does not even greet, and no check has gone well since: its process hangs, or its machine is gone. */
export const isMute = ({ mutedAtMs, answeredAtMs }: Server): boolean =>
  mutedAtMs !== undefined && mutedAtMs >= (answeredAtMs ?? Number.NEGATIVE_INFINITY);

/** Its check has no answer, and nothing else is against it: it may only wait, as all do while etcd elects. */
export const isWaiting = (server: Server): boolean =>
  server.state === 'failed' &&
  server.lastError?.source === 'check' &&
  server.lastError.silentSinceMs !== undefined &&
  !isMute(server) &&
  !isUnheard(server);

/** It waits, and new connections have reached it meanwhile: what it was asked it answers when etcd has elected. */
export const isAnswerDue = (server: Server): boolean =>
  isWaiting(server) && (server.dialledAtMs ?? Number.NEGATIVE_INFINITY) >= (server.lastError?.silentSinceMs ?? 0);

/** Better than merely there: what the fall-back makes way for. */
export const isWell = ({ state }: Server): boolean => stateNumber(state) >= stateNumber('healthy');
