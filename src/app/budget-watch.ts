/**
 * Tells when a start exceeds its budgets, at the moment it does, with the chain of units up to there.
 *
 * A unit's budget is for its own time, from its last gate to ready: what it waits for is not its
 * fault. Only the first start counts, until everything is ready. Without budgets nothing is folded.
 */
import { StartupError } from '../error/startup-error.ts';
import type { EventOf } from '../event/event.ts';
import type { EventStream } from '../event/stream.ts';
import type { Clock } from '../kernel/clock.ts';
import { formatDurationMs } from '../kernel/duration.ts';
import { emptyModel, fold, type Model } from '../report/model.ts';
import { criticalChain, startRecordOf } from '../report/start-record.ts';
import { isUp } from '../unit/state.ts';
import { wholeStart } from './budgets.ts';

/** One that takes just as long as its budget is within it, in milliseconds. */
const afterMs = 1;

export interface BudgetWatchOptions {
  /** Milliseconds by unit, or by "total". */
  readonly budgets: ReadonlyMap<string, number>;
  readonly events: EventStream;
  readonly clock: Clock;
  /** Called for each one, after its event. */
  onExceeded(error: StartupError): void;
}

export function watchBudgets({ budgets, events, clock, onExceeded }: BudgetWatchOptions): Disposable {
  const model = emptyModel();
  const timers = new Map<string, Disposable>();
  const exceeded = new Set<string>();

  const exceed = (subject: string, limitMs: number, elapsedMs: number) => {
    if (exceeded.has(subject)) return;
    exceeded.add(subject);
    const chain = chainOf(model, subject, clock.monotonicMs());
    events.emit({ type: 'budget.exceeded', subject, limitMs, elapsedMs, chain });
    const what = subject === wholeStart ? 'the start' : subject;
    onExceeded(
      new StartupError('ERR_BUDGET', `over budget: ${what} took more than ${formatDurationMs(limitMs)}`, {
        subject,
        limitMs,
        elapsedMs,
        chain,
      }),
    );
  };

  /** Told now if it is over already, else by a timer unless it is `settled` before. */
  const begin = (subject: string, limitMs: number, sinceMs: number) => {
    if (timers.has(subject)) return;
    const elapsedMs = () => clock.monotonicMs() - sinceMs;
    timers.set(
      subject,
      clock.timer(limitMs - elapsedMs() + afterMs, () => exceed(subject, limitMs, elapsedMs())),
    );
  };
  const settle = (subject: string, limitMs: number, elapsedMs: number) => {
    timers.get(subject)?.[Symbol.dispose]();
    if (elapsedMs > limitMs) exceed(subject, limitMs, elapsedMs);
  };

  const lookAt = ({ unit, snapshot }: EventOf<'unit.state'>) => {
    const limitMs = budgets.get(unit);
    const view = model.units.get(unit);
    const sinceMs = view?.gatesOpenAt?.monotonicMs;
    if (limitMs === undefined || sinceMs === undefined) return;
    if (snapshot.state === 'starting') begin(unit, limitMs, sinceMs);
    if (isUp(snapshot.state) && view?.readyAt !== undefined) settle(unit, limitMs, view.readyAt.monotonicMs - sinceMs);
  };

  const end = () => {
    subscription[Symbol.dispose]();
    for (const timer of timers.values()) timer[Symbol.dispose]();
  };

  const totalMs = budgets.get(wholeStart);
  const subscription: Disposable =
    budgets.size === 0
      ? { [Symbol.dispose]: () => undefined }
      : events.subscribe({
          onEvent(envelope) {
            fold(model, envelope);
            const { event, monotonicMs } = envelope;
            if (event.type === 'up.started' && totalMs !== undefined) begin(wholeStart, totalMs, monotonicMs);
            if (event.type === 'unit.state') lookAt(event);
            if (event.type === 'up.ready' && totalMs !== undefined) settle(wholeStart, totalMs, event.elapsedMs);
            if (event.type === 'up.ready' || event.type === 'down.started') end();
          },
        });
  return { [Symbol.dispose]: end };
}

/** Up to the unit that is over its budget; for the whole start up to the one that has taken longest of those not ready. */
function chainOf(model: Model, subject: string, nowMs: number): EventOf<'budget.exceeded'>['chain'] {
  const record = startRecordOf(model, nowMs);
  let last: string | undefined = subject;
  if (subject === wholeStart) {
    const open = [...model.units.values()].filter(({ state, waitingFor }) => !isUp(state) && waitingFor.length === 0);
    const sinceMs = (name: string) => model.units.get(name)?.gatesOpenAt?.monotonicMs ?? nowMs;
    last = open.toSorted((a, b) => sinceMs(a.name) - sinceMs(b.name))[0]?.name;
  }
  return criticalChain(record, last).map(({ unit, selfMs }) => ({ unit, selfMs }));
}
