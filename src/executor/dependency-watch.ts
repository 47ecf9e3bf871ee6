/**
 * One unit's view of its dependencies: whether its gates are open, which of them it lost, and
 * what it runs without. Reads snapshots; changes nothing but its own memory of the last start.
 */
import type { Need } from '../unit/schema.ts';
import { isUp, type Degraded, type UnitSnapshot, type WaitingFor } from '../unit/state.ts';
import { degradedBy, describeState, evaluateGates, isAbsent, isAwaited, type Gates } from './gates.ts';

export class DependencyWatch {
  #needs: readonly Need[];
  readonly #snapshotOf: (unit: string) => UnitSnapshot;
  /** Generation of each dependency with `onLoss`, at this unit's start. */
  #bound = new Map<string, number>();
  /** Dependencies with `onLoss` that are started again while this unit runs on: bound once they are up. */
  #bindsLater = new Set<string>();
  #missing: readonly Degraded[] = [];

  constructor(needs: readonly Need[], snapshotOf: (unit: string) => UnitSnapshot) {
    this.#needs = needs;
    this.#snapshotOf = snapshotOf;
  }

  /** Other edges from now on; what the last start is bound to and does without stays, where the edge does. */
  rewire(needs: readonly Need[], isRunning: boolean): void {
    const earlier = new Set(this.#needs.map(({ unit }) => unit));
    const kept = new Set(needs.map(({ unit }) => unit));
    this.#needs = needs;
    this.#missing = this.#missing.filter(({ unit }) => kept.has(unit));
    for (const unit of [...this.#bound.keys()]) if (!kept.has(unit)) this.#bound.delete(unit);
    if (!isRunning) return;
    for (const need of needs) {
      if (need.kind !== 'hard' || need.onLoss === 'keep' || this.#bound.has(need.unit)) continue;
      const { generation } = this.#snapshotOf(need.unit);
      // A new edge counts from now on: what was not there when this unit started is no loss.
      if (!earlier.has(need.unit) && isAlive(this.#snapshotOf(need.unit), generation))
        this.#bound.set(need.unit, generation);
    }
  }

  gates(waitedMs: number): Gates {
    return evaluateGates(this.#needs, this.#snapshotOf, waitedMs);
  }

  /** The gates have opened without `missing`: remembers what this start is bound to. */
  bind(missing: readonly Degraded[]): void {
    this.#missing = missing;
    this.#bound = new Map();
    this.#bindsLater.clear();
    for (const need of this.#needs) {
      if (need.kind === 'hard' && need.onLoss !== 'keep') {
        this.#bound.set(need.unit, this.#snapshotOf(need.unit).generation);
      }
    }
  }

  /** The unit is adopted: its services were adopted before it, its tasks and builtins may run again. */
  bindAdopted(): void {
    this.bind([]);
    for (const [unit, generation] of this.#bound) {
      if (isAlive(this.#snapshotOf(unit), generation)) continue;
      this.#bound.delete(unit);
      this.#bindsLater.add(unit);
    }
  }

  /** The first dependency with `onLoss` whose generation is over. Told once. */
  takeLoss(): { readonly unit: string; readonly then: 'restart' | 'stop' } | undefined {
    for (const need of this.#needs) {
      if (need.kind !== 'hard' || need.onLoss === 'keep') continue;
      const target = this.#snapshotOf(need.unit);
      if (this.#bindsLater.has(need.unit) && isUp(target.state)) {
        this.#bindsLater.delete(need.unit);
        this.#bound.set(need.unit, target.generation);
      }
      const bound = this.#bound.get(need.unit);
      if (bound === undefined || isAlive(target, bound)) continue;
      this.#bound.delete(need.unit);
      return { unit: need.unit, then: need.onLoss };
    }
    return undefined;
  }

  /** Soft dependencies missing since the start, until they are ready; those that are not waited for, while they cannot start or are stopped by the user. */
  degraded(): readonly Degraded[] {
    // Forgotten once ready: losing it again later is no degraded start (design contract 1).
    this.#missing = this.#missing.filter(({ unit }) => !isUp(this.#snapshotOf(unit).state));
    const notAwaited = this.#needs.flatMap((need) => {
      if (need.kind === 'hard' || isAwaited(need)) return [];
      const target = this.#snapshotOf(need.unit);
      return isAbsent(target) ? [degradedBy(target, need.kind, describeState(target))] : [];
    });
    return [...this.#missing, ...notAwaited];
  }
}

function isAlive(target: UnitSnapshot, generation: number): boolean {
  if (target.generation !== generation) return false;
  return isUp(target.state) || target.state === 'unhealthy' || target.state === 'starting';
}

/** True if both wait for the same units in the same states: nothing new to tell. */
export function isSameWait(a: readonly WaitingFor[], b: readonly WaitingFor[]): boolean {
  return (
    a.length === b.length &&
    a.every((gate, index) => {
      const other = b[index];
      return gate.unit === other?.unit && gate.state === other.state && gate.lastError === other.lastError;
    })
  );
}
