/** One Lease machine in each of its situations, and what becomes of it, in words. */
import { classify, type ApiFailure } from '../../../src/vip/coordination/error-class.ts';
import { newLease, stepLease } from '../../../src/vip/coordination/lease-machine.ts';
import type {
  LeaseEffect,
  LeaseInput,
  LeaseMachine,
  LeaseRecord,
  LeaseRules,
} from '../../../src/vip/coordination/lease-model.ts';
import { checkTiming } from '../../../src/vip/coordination/timing.ts';

const checked = checkTiming({ leaseDurationMs: 5000, renewDeadlineMs: 3000, retryPeriodMs: 1000 });
if (!checked.ok) throw new Error('the times of the fixture are wrong');
export const timing = checked.value;

export const rules: LeaseRules = {
  lease: 'vip-node-a',
  identity: 'a-1',
  ownEarlier: new Set(['a-0']),
  timing,
  isWatched: false,
  coolDownMs: 0,
};

/** A machine that is driven by hand: it remembers what was asked of it last. */
export class Driven {
  machine: LeaseMachine = newLease;
  nowMs = 0;
  suspendedMs = 0;
  effects: readonly LeaseEffect[] = [];
  wakeAtMs: number | undefined;
  readonly all: LeaseEffect[] = [];

  give(input: LeaseInput): this {
    const context = { nowMs: this.nowMs, bootMs: this.nowMs + this.suspendedMs, random: () => 0.5 };
    const step = stepLease(this.machine, input, rules, context);
    this.machine = step.machine;
    this.effects = step.effects;
    this.wakeAtMs = step.wakeAtMs;
    this.all.push(...step.effects);
    return this;
  }

  at(nowMs: number): this {
    this.nowMs = nowMs;
    return this;
  }

  get lastWrite(): Extract<LeaseEffect, { type: 'write' }> {
    const write = this.all.findLast((effect) => effect.type === 'write');
    if (write === undefined) throw new Error('nothing was written');
    return write;
  }

  /** The call that is under way, or the last one. */
  get call(): number {
    return this.machine.calls;
  }

  /** The API has done the last write. */
  record(change: Partial<LeaseRecord> = {}): LeaseRecord {
    const { draft } = this.lastWrite;
    return { ...draft, version: `v${String(this.call)}`, uid: 'u1', ...change };
  }

  written(): this {
    return this.give({ type: 'written', call: this.call, record: this.record() });
  }

  failed(failure: ApiFailure): this {
    return this.give({ type: 'failed', call: this.call, verdict: classify(failure) });
  }
}

export const unanswered: ApiFailure = { kind: 'timeout', afterMs: 1000 };
export const noConnection: ApiFailure = { kind: 'network', code: 'ECONNREFUSED', message: 'connect ECONNREFUSED' };
export const forbidden: ApiFailure = { kind: 'refused', status: 422, reason: 'Invalid', message: 'invalid' };

export const foreign: LeaseRecord = {
  version: 'v-foreign',
  uid: 'u1',
  holder: 'b-1',
  durationMs: 4000,
  transitions: 7,
  nonce: 'b-1/9',
  notes: {},
};

const begun = () => new Driven().give({ type: 'want' });
const held = () => begun().give({ type: 'read', call: 1, record: undefined }).at(10).written();
const renewing = () => held().at(1000).give({ type: 'wake' });
const waiting = () => renewing().at(1010).failed(noConnection);
const unclear = () => renewing().at(2000).failed(unanswered);
const reading = () => {
  const driven = unclear();
  return driven.at(driven.wakeAtMs ?? 0).give({ type: 'wake' });
};
const lost = () => held().at(500).give({ type: 'give-up', reason: 'the interface is gone' });
const releasing = () => lost().give({ type: 'withdrawn', tenure: 1 });

/** Every state with what makes a difference in it. */
export const situations: ReadonlyMap<string, () => Driven> = new Map([
  ['not wanted', () => new Driven()],
  ['released, reading', begun],
  ['released, writing', () => begun().give({ type: 'read', call: 1, record: undefined })],
  ['released, another holds it', () => begun().give({ type: 'read', call: 1, record: foreign })],
  ['held', held],
  ['renewing', renewing],
  ['doubtful, waiting', waiting],
  ['doubtful, unclear', unclear],
  ['doubtful, reading', reading],
  ['lost', lost],
  ['lost, giving back', releasing],
]);

export const inputs: Readonly<Record<string, (driven: Driven) => Driven>> = {
  want: (driven) => driven.give({ type: 'want' }),
  stop: (driven) => driven.give({ type: 'stop' }),
  'wake, too early': (driven) => driven.give({ type: 'wake' }),
  'wake, on time': (driven) => driven.at(driven.wakeAtMs ?? driven.nowMs).give({ type: 'wake' }),
  'wake, at the deadline': (driven) => driven.at(Math.max(driven.nowMs, 6000)).give({ type: 'wake' }),
  'read: ours': (driven) => driven.give({ type: 'read', call: driven.call, record: ours(driven) }),
  'read: the unanswered write': (driven) =>
    hasWrite(driven) ? driven.give({ type: 'read', call: driven.call, record: driven.record() }) : driven,
  'read: another holder': (driven) => driven.give({ type: 'read', call: driven.call, record: foreign }),
  'read: another uid': (driven) =>
    driven.give({ type: 'read', call: driven.call, record: { ...ours(driven), uid: 'u2' } }),
  'read: nobody': (driven) => driven.give({ type: 'read', call: driven.call, record: { ...foreign, holder: '' } }),
  'read: missing': (driven) => driven.give({ type: 'read', call: driven.call, record: undefined }),
  written: (driven) => (hasWrite(driven) ? driven.written() : driven),
  'late answer': (driven) => (hasWrite(driven) ? late(driven) : driven),
  transient: (driven) => driven.failed(noConnection),
  ambiguous: (driven) => driven.failed(unanswered),
  permanent: (driven) => driven.failed(forbidden),
  'seen: another holder': (driven) => driven.give({ type: 'seen', record: foreign }),
  'seen: nobody': (driven) => driven.give({ type: 'seen', record: { ...foreign, version: 'v-free', holder: '' } }),
  withdrawn: (driven) => driven.give({ type: 'withdrawn', tenure: 1 }),
  'withdrawn, of another tenure': (driven) => driven.give({ type: 'withdrawn', tenure: 0 }),
  'give up': (driven) => driven.give({ type: 'give-up', reason: 'no interface' }),
  publish: (driven) => driven.give({ type: 'publish', notes: { acked: '10.0.0.9=4' } }),
  suspended: (driven) => {
    driven.suspendedMs += 1000;
    return driven.give({ type: 'wake' });
  },
};

const hasWrite = (driven: Driven) => driven.all.some(({ type }) => type === 'write');

function ours(driven: Driven): LeaseRecord {
  const { state } = driven.machine;
  return 'holding' in state ? state.holding.record : { ...foreign, holder: 'a-1', version: 'v1', nonce: 'a-1/0' };
}

function late(driven: Driven): Driven {
  return driven.give({ type: 'written', call: driven.call - 1, record: driven.record() });
}

/** "doubtful + read": the state and what is to be done. */
export function outcome(situation: string, input: string): string {
  const driven = situations.get(situation)?.();
  const give = inputs[input];
  if (driven === undefined || give === undefined) throw new Error(`no such case: ${situation}, ${input}`);
  const before = driven.machine;
  driven.effects = [];
  give(driven);
  const words = driven.effects.flatMap((effect) => word(effect));
  const { state } = driven.machine;
  const isSame = state === before.state && words.length === 0 && driven.machine.isWanted === before.isWanted;
  return isSame ? '·' : [state.id, ...words].join(' + ');
}

function word(effect: LeaseEffect): readonly string[] {
  switch (effect.type) {
    case 'write':
      return [effect.draft.holder === '' ? 'give back' : effect.draft.version === undefined ? 'create' : 'write'];
    case 'allow':
      return [`allow until ${String(effect.deadlineMs)}`];
    case 'withdraw':
      return ['withdraw'];
    case 'tell':
      return effect.event.type === 'vip.retry' ? [`retry (${effect.event.class})`] : [];
    default:
      return [effect.type];
  }
}
