/**
 * A unit's side of its edges: looks at its dependencies and says what that means for it (an input of
 * its machine), and what of it people see (what it waits for, what it does without).
 *
 * Not here: whether a single gate is open (gates), what a start is bound to (dependency-watch), when
 * to look (unit-runner).
 */
import type { EventStream } from '../event/stream.ts';
import { unreachable } from '../kernel/unreachable.ts';
import type { Need } from '../unit/schema.ts';
import type { Degraded, UnitSnapshot, WaitingFor } from '../unit/state.ts';
import { DependencyWatch, isSameWait } from './dependency-watch.ts';
import { blockedError, type Gates } from './gates.ts';
import { hasRun, type Input, type Machine } from './machine.ts';

export interface GateKeeperOptions {
  readonly unit: string;
  readonly needs: readonly Need[];
  readonly events: EventStream;
  snapshotOf(unit: string): UnitSnapshot;
}

/** What a look at the gates has found. */
export interface Look {
  /** What the machine has to be told, if anything. */
  readonly input?: Input;
  /** What is shown has changed. */
  readonly isNews: boolean;
  /** Soft gates open by themselves so long after now. */
  readonly lookAgainInMs?: number;
}

export class GateKeeper {
  readonly #options: GateKeeperOptions;
  readonly #dependencies: DependencyWatch;
  #waitingFor: readonly WaitingFor[] = [];
  #degraded: readonly Degraded[] = [];

  constructor(options: GateKeeperOptions) {
    this.#options = options;
    this.#dependencies = new DependencyWatch(options.needs, (unit) => options.snapshotOf(unit));
  }

  /** What it waits for; empty once it does not wait. */
  get waitingFor(): readonly WaitingFor[] {
    return this.#waitingFor;
  }

  /** What it has been started without. */
  get degraded(): readonly Degraded[] {
    return this.#degraded;
  }

  gates(waitedMs: number): Gates {
    return this.#dependencies.gates(waitedMs);
  }

  /** Other edges from now on. */
  rewire(needs: readonly Need[], { state }: Machine): void {
    this.#dependencies.rewire(needs, hasRun(state));
  }

  /** It runs already, with what it needs. */
  bindAdopted(): void {
    this.#dependencies.bindAdopted();
  }

  /** It waits for nothing any more. */
  endWait(): void {
    this.#waitingFor = [];
  }

  /** For a unit that is waiting or blocked. */
  look({ state, generation }: Machine, waitedMs: number): Look {
    const { unit } = this.#options;
    const gates = this.#dependencies.gates(waitedMs);
    const waitingFor = gates.kind === 'open' ? [] : gates.waitingFor;
    this.#tellOpened(waitingFor);
    const isNews = !isSameWait(waitingFor, this.#waitingFor);
    this.#waitingFor = waitingFor;
    switch (gates.kind) {
      case 'open':
        this.#dependencies.bind(gates.missing);
        this.#degraded = this.#dependencies.degraded();
        return { input: { type: 'gates', gates: 'open' }, isNews };
      case 'blocked': {
        if (state.id === 'blocked' && state.error.cause === gates.by.lastError) return { isNews };
        const error = blockedError(unit, generation, gates.by, waitedMs);
        return { input: { type: 'gates', gates: 'blocked', error }, isNews };
      }
      case 'closed':
        return {
          ...(state.id === 'blocked' ? { input: { type: 'gates', gates: 'closed' } } : {}),
          isNews,
          ...(gates.softDeadlineMs === undefined ? {} : { lookAgainInMs: gates.softDeadlineMs - waitedMs }),
        };
      default:
        return unreachable(gates);
    }
  }

  #tellOpened(waitingFor: readonly WaitingFor[]): void {
    const { unit, events } = this.#options;
    const closed = new Set(waitingFor.map((gate) => gate.unit));
    for (const { unit: dependency, kind } of this.#waitingFor) {
      if (!closed.has(dependency)) events.emit({ type: 'unit.gate', unit, dependency, kind, last: closed.size === 0 });
    }
  }

  /** For a unit that runs: what the loss of a dependency asks of it. Told once. */
  takeLoss(): Input | undefined {
    const loss = this.#dependencies.takeLoss();
    if (loss === undefined) return undefined;
    const { unit, events } = this.#options;
    const text = `${unit} ${loss.then === 'stop' ? 'stops' : 'restarts'}: it lost ${loss.unit}`;
    events.emit({ type: 'notice', level: 'info', unit, text });
    return loss.then === 'stop' ? { type: 'want', desired: 'down' } : { type: 'restart' };
  }

  /** True if what it does without has changed. */
  refreshDegraded(): boolean {
    const before = this.#degraded;
    const degraded = this.#dependencies.degraded();
    if (degraded.length === before.length && degraded.every((item, index) => item.unit === before[index]?.unit)) {
      return false;
    }
    this.#degraded = degraded;
    return true;
  }
}
