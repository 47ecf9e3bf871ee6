/**
 * One step of the Lease machine while it is made: the state that becomes another one, and what has to
 * be done about it. Keeping a Lease and letting it go is here, getting one in lease-taking; lease-machine says when.
 */
import type { Verdict } from './error-class.ts';
import { noCycle, withCall } from './lease-cycle.ts';
import type {
  Call,
  Cycle,
  Holding,
  LeaseContext,
  LeaseDraft,
  LeaseEffect,
  LeaseMachine,
  LeaseNotes,
  LeaseRecord,
  LeaseRules,
  LeaseSighting,
  LeaseState,
  LeaseStep,
} from './lease-model.ts';
import { wakeAt } from './lease-wake.ts';
import { callLimitMs, nextTryAt } from './retry-budget.ts';
import { patientNotes } from './stored-assignment.ts';
import { deadlineOf, giveUpAt } from './timing.ts';

/** An API that does not keep what is said on a Lease must not be told again in a tight loop. */
const newsPauseMs = 10;
export class LeaseTransition {
  readonly rules: LeaseRules;
  readonly nowMs: number;
  state: LeaseState;
  isWanted: boolean;
  readonly #context: LeaseContext;
  readonly #before: LeaseMachine;
  #calls: number;
  #tenure: number;
  #seen: LeaseSighting | undefined;
  #notes: LeaseNotes;
  #suspendedMs: number | undefined;
  #ended: Call | undefined;
  readonly #effects: LeaseEffect[] = [];

  constructor(machine: LeaseMachine, rules: LeaseRules, context: LeaseContext) {
    this.rules = rules;
    this.nowMs = context.nowMs;
    this.state = machine.state;
    this.isWanted = machine.isWanted;
    this.#context = context;
    this.#before = machine;
    this.#calls = machine.calls;
    this.#tenure = machine.tenure;
    this.#seen = machine.seen;
    this.#notes = machine.notes;
    this.#suspendedMs = machine.suspendedMs;
  }

  /** The monotonic clock stood still and the others' did not: what we believe of our deadline is wrong by as much. */
  noticeSuspension(): void {
    const suspendedMs = this.#context.bootMs - this.#context.nowMs;
    const before = this.#suspendedMs ?? suspendedMs;
    this.#suspendedMs = suspendedMs;
    if (suspendedMs - before <= this.rules.timing.marginMs / 4 || !('holding' in this.state)) return;
    this.lose(`the machine was suspended for ${String(Math.round(suspendedMs - before))} ms`);
  }

  /** Whether this call is the one that is under way; then it is so no longer. */
  ends(id: number, kind?: Call['kind']): boolean {
    const { state } = this;
    const call = state.id === 'held' ? undefined : state.call;
    if (call?.id !== id || (kind !== undefined && call.kind !== kind)) return false;
    this.#ended = call;
    // `renewing` always has one; whoever handles its end puts another state in its place.
    if (state.id === 'released' || state.id === 'doubtful' || state.id === 'lost') {
      this.state = { ...state, call: undefined };
    }
    return true;
  }

  get random(): () => number {
    return this.#context.random;
  }

  /** What was last seen of it, and when that changed. */
  get seen(): LeaseSighting | undefined {
    return this.#seen;
  }

  /** Before this step nothing was ours. */
  get wasReleased(): boolean {
    return this.#before.state.id === 'released';
  }

  /** The call that this step's input has ended. */
  get ended(): { readonly call: Call } {
    if (this.#ended === undefined) throw new Error('internal error: no call has ended');
    return { call: this.#ended };
  }

  /** Only a change counts: then its time begins anew, on our clock. */
  observe(record: LeaseRecord | undefined): void {
    const before = this.#seen;
    if (before !== undefined && before.record?.version === record?.version) return;
    this.#seen = { record, changedAtMs: this.nowMs };
  }

  /** What a read of a Lease that we hold says against that. */
  evidenceAgainst(record: LeaseRecord | undefined, { record: ours }: Holding): string | undefined {
    if (record === undefined) return 'it was deleted';
    if (record.uid !== ours.uid) return 'it was deleted and made anew';
    if (record.holder === this.rules.identity) return undefined;
    return record.holder === '' ? 'it was released by somebody else' : `${record.holder} holds it`;
  }

  read(): void {
    const call = this.call('read');
    const { state } = this;
    const limitMs = this.#limitMs();
    if (state.id === 'held' || state.id === 'renewing') return;
    this.state = { ...state, call };
    this.#effects.push({ type: 'read', call: call.id, limitMs });
  }

  /** Begins a renewal. */
  renew(): void {
    if (this.state.id !== 'held') return;
    this.write(this.state.holding, { beganAtMs: this.nowMs, attempts: 0, unclear: new Map() });
  }

  /** Something speaks against a Lease that we hold: reads it before anything is believed. */
  look(): void {
    if (this.state.id !== 'held') return;
    const { holding } = this.state;
    const cycle = { beganAtMs: this.nowMs, attempts: 0, unclear: new Map<string, number>() };
    this.#become(
      { id: 'doubtful', holding, cycle, nextAtMs: this.nowMs, readsFirst: true },
      'a watch shows it otherwise',
    );
    this.read();
  }

  write(holding: Holding, cycle: Cycle): void {
    const call = this.call('write');
    const next: Cycle = {
      beganAtMs: cycle.beganAtMs,
      attempts: cycle.attempts + 1,
      unclear: withCall(cycle, call),
    };
    if (this.state.id === 'doubtful') this.state = { ...this.state, holding, cycle: next, call };
    else this.#become({ id: 'renewing', holding, cycle: next, call }, 'it is time to renew');
    const { version, transitions } = holding.record;
    this.send(call, { version, transitions });
  }

  /** Whether a write that was sent then leaves time to act. */
  isUsable(sentAtMs: number): boolean {
    const { timing } = this.rules;
    return this.nowMs < deadlineOf(timing, sentAtMs) - timing.withdrawMs;
  }

  /** A confirmed write of ours: everything until its deadline may be done. */
  hold(record: LeaseRecord, sentAtMs: number, why: string): void {
    const { timing } = this.rules;
    const deadlineMs = deadlineOf(timing, sentAtMs);
    const before = 'holding' in this.state ? this.state.holding : undefined;
    if (before === undefined && !this.isWanted) {
      this.#become(
        { id: 'lost', reason: 'it is being stopped', tenure: this.#tenure, record, isWithdrawn: true, tries: 0 },
        why,
      );
      this.giveBack(record);
      return;
    }
    if (before === undefined) this.#tenure += 1;
    const holding: Holding = {
      record,
      tenure: this.#tenure,
      deadlineMs: Math.max(deadlineMs, before?.deadlineMs ?? deadlineMs),
    };
    // What was to be said meanwhile is said at once.
    const hasNews = isNews(this.#notes, record.notes);
    this.#become({ id: 'held', holding, renewAtMs: sentAtMs + (hasNews ? newsPauseMs : timing.retryPeriodMs) }, why);
    this.#effects.push({ type: 'allow', tenure: holding.tenure, deadlineMs: holding.deadlineMs, record });
  }

  /** A try has failed, and there may be time for another. */
  doubt(verdict: Verdict, call: Call): void {
    const { state } = this;
    if (!('cycle' in state) || !('holding' in state)) return;
    const { holding, cycle } = state;
    const endMs = giveUpAt(this.rules.timing, cycle.beganAtMs, holding.deadlineMs);
    const attempts = Math.max(cycle.attempts, 1);
    const nextAtMs = nextTryAt({
      nowMs: this.nowMs,
      giveUpAtMs: endMs,
      attempts,
      callMs: this.rules.timing.callMs,
      retryAfterMs: verdict.retryAfterMs,
      random: this.#context.random,
    });
    const isUnclear = verdict.class === 'ambiguous' && call.kind === 'write';
    const unclear = new Map(cycle.unclear);
    if (call.kind === 'write' && !isUnclear) unclear.delete(call.nonce);
    this.#become(
      {
        id: 'doubtful',
        holding,
        cycle: { ...cycle, attempts: call.kind === 'read' ? attempts + 1 : attempts, unclear },
        // Nothing more fits: what is under way may still be seen, nothing else is asked.
        nextAtMs: nextAtMs ?? Number.POSITIVE_INFINITY,
        readsFirst: isUnclear || (call.kind === 'read' && (state.id !== 'doubtful' || state.readsFirst)),
      },
      verdict.text,
    );
    this.tellRetry(verdict, attempts, (nextAtMs ?? endMs) - this.nowMs, endMs - this.nowMs);
  }

  /** From now on nothing may be done under it. What is under way is not waited for. */
  lose(reason: string, read?: LeaseRecord): void {
    if (!('holding' in this.state)) return;
    const { holding } = this.state;
    const record = read ?? holding.record;
    this.#become({ id: 'lost', reason, tenure: holding.tenure, record, isWithdrawn: false, tries: 0 }, reason);
    this.#effects.push({ type: 'withdraw', tenure: holding.tenure, reason });
  }

  /** Everything is withdrawn: nobody has to wait for it to run out. */
  giveBack(record: LeaseRecord): void {
    if (this.state.id !== 'lost') return;
    const call = this.call('write');
    this.state = { ...this.state, isWithdrawn: true, call, tries: this.state.tries + 1 };
    const { version, transitions } = record;
    this.send(call, { holder: '', version, transitions });
  }

  letGo(): void {
    if (this.state.id !== 'lost') return;
    const { reason } = this.state;
    const isStop = !this.isWanted;
    const pauseMs = isStop ? 0 : this.rules.coolDownMs * (1 + this.#context.random());
    this.#become({ id: 'released', nextAtMs: this.nowMs + pauseMs, failures: 0, cycle: noCycle }, reason);
    this.restIfIdle();
  }

  /** Says that nothing is left to be done, when it is not wanted any more. */
  restIfIdle(): void {
    if (this.state.id === 'released' && this.state.call === undefined && !this.isWanted)
      this.#effects.push({ type: 'idle' });
  }

  publish(notes: LeaseNotes): void {
    const hasNews = isNews(notes, this.#notes);
    this.#notes = notes;
    if (hasNews && this.state.id === 'held') this.renew();
  }

  step(): LeaseStep {
    const machine: LeaseMachine = {
      state: this.state,
      isWanted: this.isWanted,
      calls: this.#calls,
      tenure: this.#tenure,
      seen: this.#seen,
      notes: this.#notes,
      suspendedMs: this.#suspendedMs,
    };
    return { machine, effects: this.#effects, wakeAtMs: wakeAt(machine, this.rules.timing) };
  }

  #limitMs(): number {
    const { callMs } = this.rules.timing;
    const { state, nowMs } = this;
    if (!('holding' in state) || !('cycle' in state)) return callMs;
    return callLimitMs({
      nowMs,
      giveUpAtMs: giveUpAt(this.rules.timing, state.cycle.beganAtMs, state.holding.deadlineMs),
      callMs,
    });
  }

  call(kind: Call['kind']): Call {
    this.#calls += 1;
    return { id: this.#calls, kind, sentAtMs: this.nowMs, nonce: `${this.rules.identity}/${String(this.#calls)}` };
  }

  /** @param said - what is not as of every write of ours */
  send(call: Call, said: Pick<LeaseDraft, 'version' | 'transitions'> & Partial<LeaseDraft>): void {
    const { identity, timing } = this.rules;
    const ours = { holder: identity, durationMs: timing.leaseDurationMs, nonce: call.nonce, notes: this.#notes };
    this.#effects.push({ type: 'write', call: call.id, draft: { ...ours, ...said }, limitMs: this.#limitMs() });
  }

  #become(state: LeaseState, reason: string): void {
    const from = this.state.id;
    this.state = state;
    // A renewal that goes well is no news.
    const isRoutine = (from === 'held' && state.id === 'renewing') || (from === 'renewing' && state.id === 'held');
    if (from === state.id || isRoutine) return;
    this.#effects.push({
      type: 'tell',
      event: { type: 'vip.lease', lease: this.rules.lease, from, to: state.id, reason },
    });
  }

  tellRetry(verdict: Verdict, attempts: number, inMs: number, leftMs: number): void {
    const { lease } = this.rules;
    const { class: errorClass, text } = verdict;
    this.#effects.push({
      type: 'tell',
      event: { type: 'vip.retry', lease, class: errorClass, attempts, text, inMs, leftMs },
    });
  }
}

/** Whether `next` says something that cannot wait for the next renewal. */
const isNews = (next: LeaseNotes, before: LeaseNotes): boolean =>
  [...new Set([...Object.keys(next), ...Object.keys(before)])].some(
    (key) => !patientNotes.has(key) && next[key] !== before[key],
  );
