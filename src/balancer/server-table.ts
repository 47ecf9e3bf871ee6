/**
 * The states of a server and how it goes from one to another, as a table (L2). A test walks every
 * state and input; the drawing in docs/balancer-states.md is made from it.
 *
 * What is not in the table changes nothing. A cell with several rules takes the first whose
 * condition holds. What a change means for *other* servers is not here (reduce.ts).
 *
 * Source of the states and of most rows: K3s's balancer. Other than there, and why: a black-holed
 * active server becomes suspect instead of taking the connections of its successor down; `invalid`
 * stays until its last connection is gone, so that connections can be drained; a server that a check
 * has failed is not lifted by a dial, and one that recovers is not spared a failed check.
 */
import { isUnheard, type CloseReason, type Server, type ServerState } from './routing-state.ts';

export const serverInputs = [
  'listed',
  'dropped',
  'defaulted',
  'undefaulted',
  'dial ok',
  'dial late',
  'dial slow',
  'dial failed',
  'fell silent',
  'check ok',
  'check failed',
  'connection broken',
  'rival active',
  'better found',
  'heartbeat lost',
  'last closed',
] as const;
/**
 * - listed, dropped: an update names it, or no longer
 * - defaulted, undefaulted: it is the default server now, or another one is
 * - dial slow: another server answered before this one did
 * - dial late: it answered after all, when the connection had gone to another one
 * - fell silent: it has accepted a connection, was told something, and has not said a word since
 * - connection broken: the server reset a connection, or closed it without a word
 * - rival active: another server has become the active one (only under `sticky`)
 * - better found: another server is known to be well, active or not
 * - heartbeat lost: its machine answers no heartbeats any more, whatever its checks say
 * - last closed: none of its connections is left
 */
export type ServerInput = (typeof serverInputs)[number];

export const conditions = {
  'is the default': (server: Server) => server.isDefault,
  'has connections': (server: Server) => server.connections > 0,
  'well for long enough': (server: Server, { nowMs, settleMs }: Facts) => nowMs - server.sinceMs > settleMs,
  // The kernel accepts for a process that is stopped: only a check takes back what a check has said.
  'not failed by a check': (server: Server) => server.lastError?.source !== 'check' && !isUnheard(server),
  // Of the two that may be against it, each takes back only what it has said itself.
  'heard of': (server: Server) => !isUnheard(server),
  // Without checks nothing would ever take a suspicion back: it would be dialled no more.
  'has answered a check': (server: Server) => server.answeredAtMs !== undefined,
  'too many in a row': (server: Server, { brokenLimit }: Facts) => server.brokenInARow >= brokenLimit,
} satisfies Record<string, (server: Server, facts: Facts) => boolean>;
export type Condition = keyof typeof conditions;

export interface Facts {
  readonly nowMs: number;
  readonly settleMs: number;
  readonly brokenLimit: number;
}

export interface Rule {
  readonly when?: Condition;
  /** `claims active`: active, unless the other servers have something against it. */
  readonly to: ServerState | 'gone' | 'claims active';
  /** Its connections are closed. */
  readonly close?: CloseReason;
  /** Changes beside the state. */
  readonly mark?: 'suspect' | 'trusted';
}

type Cell = Rule | readonly Rule[];

const removed: Cell = [
  { when: 'is the default', to: 'standby', close: 'removed' },
  { to: 'invalid', close: 'removed' },
];
const failed: Rule = { to: 'failed', close: 'failed' };
const broken: Rule = { ...failed, when: 'too many in a row' };
const silenced: { readonly 'heartbeat lost': Cell } = { 'heartbeat lost': { to: 'failed', close: 'silent' } };
const stillSilent = (to: ServerState): { readonly 'heartbeat lost': Cell } => ({
  'heartbeat lost': { when: 'has connections', to, close: 'silent' },
});
const reached: Cell = { when: 'not failed by a check', to: 'recovering' };
const overtaken = (state: ServerState): { readonly 'rival active': Cell } => ({
  'rival active': { when: 'has connections', to: state, close: 'takeover' },
});

export const serverTable: Readonly<Record<ServerState, Readonly<Partial<Record<ServerInput, Cell>>>>> = {
  invalid: {
    listed: { to: 'unchecked' },
    defaulted: { to: 'standby' },
    'last closed': { to: 'gone' },
  },
  failed: {
    dropped: removed,
    'dial ok': reached,
    'dial late': reached,
    'check ok': { when: 'heard of', to: 'recovering' },
    ...stillSilent('failed'),
    ...overtaken('failed'),
    'better found': { when: 'has connections', to: 'failed', close: 'takeover' },
  },
  // Whatever becomes of dials to it: it is only there for when nothing else is.
  standby: {
    listed: { to: 'unchecked' },
    undefaulted: { to: 'invalid', close: 'removed' },
    ...stillSilent('standby'),
    ...overtaken('standby'),
    'better found': { when: 'has connections', to: 'standby', close: 'takeover' },
  },
  unchecked: {
    dropped: removed,
    'dial ok': { to: 'recovering' },
    'dial late': { to: 'recovering' },
    'dial failed': { to: 'failed' },
    'check ok': { to: 'recovering' },
    ...silenced,
    ...overtaken('unchecked'),
    // A failed check alone says little of a server that is starting: it may be dialable.
  },
  recovering: {
    dropped: removed,
    'dial failed': { to: 'failed' },
    // Its connections go on until another server is known to be well.
    'check failed': { to: 'failed' },
    'check ok': [{ when: 'has connections', to: 'claims active' }, { to: 'preferred' }],
    ...silenced,
    ...overtaken('recovering'),
  },
  healthy: {
    dropped: removed,
    'dial ok': { to: 'claims active' },
    'dial failed': failed,
    'check failed': failed,
    'connection broken': broken,
    ...silenced,
    ...overtaken('healthy'),
  },
  preferred: {
    dropped: removed,
    'dial ok': { to: 'claims active' },
    'dial failed': failed,
    'check ok': { when: 'well for long enough', to: 'healthy' },
    'check failed': failed,
    'connection broken': broken,
    ...silenced,
    ...overtaken('preferred'),
  },
  active: {
    dropped: removed,
    'dial ok': { to: 'active', mark: 'trusted' },
    'dial late': { to: 'active', mark: 'trusted' },
    'dial slow': { to: 'active', mark: 'suspect' },
    // Who tries again must not come to it again while the check that decides is still under way.
    'fell silent': { when: 'has answered a check', to: 'active', mark: 'suspect' },
    'dial failed': failed,
    'check ok': { to: 'active', mark: 'trusted' },
    'check failed': failed,
    // Perhaps it is dying: who tries again at once must not come to it while its port still accepts.
    'connection broken': [broken, { when: 'has answered a check', to: 'active', mark: 'suspect' }],
    ...silenced,
    'rival active': { to: 'preferred', close: 'takeover' },
  },
};

/** The rule that an input meets, or undefined when it changes nothing. Pure. */
export function ruleFor(server: Server, input: ServerInput, facts: Facts): Rule | undefined {
  return rulesOf(server.state, input).find(({ when }) => when === undefined || conditions[when](server, facts));
}

export function rulesOf(state: ServerState, input: ServerInput): readonly Rule[] {
  const cell = serverTable[state][input];
  if (cell === undefined) return [];
  return Array.isArray(cell) ? (cell as readonly Rule[]) : [cell as Rule];
}
