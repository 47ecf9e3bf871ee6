/**
 * Holds one Lease: a pure function of machine and input. The same for a node's own Lease and for the
 * coordinator's, which are raced for.
 *
 * Its promise: what the Lease allows ends before anybody else can think that it has run out. So each
 * deadline comes from before the write was sent, a write whose answer was lost counts only when its
 * nonce is read, and the Lease is given back only when everything is withdrawn.
 *
 *     released ─► held ⇄ renewing ⇄ doubtful        (doubtful: a try failed, time is left)
 *        ▲          └────────┴────────┴─► lost ─► released      (withdraw, verify, give back)
 *
 * Not here: requests and timers (lease-holder), what is withdrawn (agent, coordinator), error classes.
 */
import { unreachable } from '../../kernel/unreachable.ts';
import { noCycle } from './lease-cycle.ts';
import type {
  LeaseContext,
  LeaseInput,
  LeaseMachine,
  LeaseRecord,
  LeaseRules,
  LeaseState,
  LeaseStep,
} from './lease-model.ts';
import { hurryIfFree, postpone, seize, yieldFirst } from './lease-taking.ts';
import { LeaseTransition } from './lease-transition.ts';
import type { Verdict } from './error-class.ts';
import { giveUpAt } from './timing.ts';

export const newLease: LeaseMachine = {
  state: { id: 'released', nextAtMs: 0, failures: 0, cycle: noCycle },
  isWanted: false,
  calls: 0,
  tenure: 0,
  seen: undefined,
  notes: {},
  suspendedMs: undefined,
};

/** Pure. What has no meaning in a state changes nothing. */
export function stepLease(
  machine: LeaseMachine,
  input: LeaseInput,
  rules: LeaseRules,
  context: LeaseContext,
): LeaseStep {
  const transition = new LeaseTransition(machine, rules, context);
  transition.noticeSuspension();
  apply(transition, input);
  onTime(transition);
  return transition.step();
}

function apply(transition: LeaseTransition, input: LeaseInput): void {
  switch (input.type) {
    case 'want':
      transition.isWanted = true;
      yieldFirst(transition);
      return;
    case 'stop':
      transition.isWanted = false;
      if (isOurs(transition.state)) transition.lose('it is being stopped');
      else transition.restIfIdle();
      return;
    case 'wake':
      return;
    case 'read':
      if (transition.ends(input.call, 'read')) onRead(transition, input.record);
      return;
    case 'written':
      if (transition.ends(input.call, 'write')) onWritten(transition, input.record);
      return;
    case 'failed':
      if (transition.ends(input.call)) onFailed(transition, input.verdict);
      return;
    case 'seen':
      onSeen(transition, input.record);
      return;
    case 'withdrawn':
      onWithdrawn(transition, input.tenure);
      return;
    case 'give-up':
      if (isOurs(transition.state)) transition.lose(input.reason);
      return;
    case 'publish':
      transition.publish(input.notes);
      return;
    default:
      unreachable(input);
  }
}

export const isOurs = (state: LeaseState): state is Extract<LeaseState, { holding: unknown }> => 'holding' in state;

/** What a successful read shows, by state. */
function onRead(transition: LeaseTransition, record: LeaseRecord | undefined): void {
  const { state } = transition;
  transition.observe(record);
  if (isOurs(state)) {
    const against = transition.evidenceAgainst(record, state.holding);
    if (against !== undefined || record === undefined) {
      transition.lose(against ?? 'it was deleted', record);
      return;
    }
    const sentAtMs = 'cycle' in state ? state.cycle.unclear.get(record.nonce) : undefined;
    // Seen: the write whose answer was lost. It counts from when it was sent.
    if (sentAtMs !== undefined) transition.hold(record, sentAtMs, 'a write without an answer has happened');
    else if ('cycle' in state) transition.write({ ...state.holding, record }, state.cycle);
    return;
  }
  if (state.id === 'lost') {
    if (record?.holder === transition.rules.identity) transition.giveBack(record);
    else transition.letGo();
    return;
  }
  const sentAtMs = record === undefined ? undefined : state.cycle.unclear.get(record.nonce);
  const isFresh = sentAtMs !== undefined && transition.isUsable(sentAtMs);
  if (record !== undefined && isFresh) transition.hold(record, sentAtMs, 'it is ours');
  else seize(transition, record);
}

function onWritten(transition: LeaseTransition, record: LeaseRecord): void {
  const { state } = transition;
  const { call } = transition.ended;
  transition.observe(record);
  if (state.id === 'lost') transition.letGo();
  else transition.hold(record, call.sentAtMs, state.id === 'doubtful' ? 'a retry succeeded' : 'it is ours');
}

function onFailed(transition: LeaseTransition, verdict: Verdict): void {
  const { state } = transition;
  const { call } = transition.ended;
  if (state.id === 'lost') {
    // Perhaps it was changed by a write of ours whose answer was lost: one look, one more try.
    if (call.kind === 'write' && verdict.class === 'ambiguous' && state.tries < 2) transition.read();
    else transition.letGo();
    return;
  }
  if (state.id === 'released') {
    postpone(transition, verdict, call);
    return;
  }
  if (!isOurs(state)) return;
  if (!verdict.mayRetry) transition.lose(`${verdict.text}: ${verdict.why}`);
  else transition.doubt(verdict, call);
}

function onSeen(transition: LeaseTransition, record: LeaseRecord | undefined): void {
  const { state } = transition;
  // A watch may be late: of a Lease that is ours it only gives a reason to look.
  if (isOurs(state)) {
    if (state.id === 'held' && transition.evidenceAgainst(record, state.holding) !== undefined) transition.look();
    return;
  }
  transition.observe(record);
  hurryIfFree(transition);
}

function onWithdrawn(transition: LeaseTransition, tenure: number): void {
  const { state } = transition;
  if (state.id !== 'lost' || state.isWithdrawn || tenure !== state.tenure) return;
  if (state.record?.holder === transition.rules.identity) transition.giveBack(state.record);
  else transition.letGo();
}

/** What time alone brings about. */
function onTime(transition: LeaseTransition): void {
  const { state, nowMs, rules } = transition;
  switch (state.id) {
    case 'released':
      if (transition.isWanted && state.call === undefined && nowMs >= state.nextAtMs) transition.read();
      return;
    case 'held':
      if (nowMs >= state.holding.deadlineMs - rules.timing.withdrawMs) transition.lose('its renewal came too late');
      else if (nowMs >= state.renewAtMs) transition.renew();
      return;
    case 'renewing':
    case 'doubtful': {
      const endMs = giveUpAt(rules.timing, state.cycle.beganAtMs, state.holding.deadlineMs);
      if (nowMs >= endMs) {
        transition.lose(`it could not be renewed in ${String(state.cycle.attempts)} attempts`);
      } else if (state.id === 'doubtful' && state.call === undefined && nowMs >= state.nextAtMs) {
        if (state.readsFirst) transition.read();
        else transition.write(state.holding, state.cycle);
      }
      return;
    }
    case 'lost':
      return;
    default:
      unreachable(state);
  }
}
