/** When a simulation is over: everything that can be ready is, by what was asked for and what has ended for good. */
import type { Executor } from '../../src/executor/executor-api.ts';
import type { UnitGraph } from '../../src/graph/unit-graph.ts';
import { isUp } from '../../src/unit/state.ts';
import type { FakeClock } from './fake-clock.ts';
import type { SimulatedUser } from './simulated-user.ts';
import { brokenHash, type SimulationCase } from './simulation-case.ts';

/** Whatever fails, a graph of 40 units is up again in this time after the faults are gone. */
export const patienceMs = 300_000;
const maxSteps = 20_000;
/** Sums of floating-point milliseconds. */
const roundingMs = 0.001;

/** Lets time pass until the faults are gone and everything that can be is ready. */
export async function untilHealed(
  { repairAtMs, actions, reloads, restAtMs }: SimulationCase,
  { isHealed, clock, isDead }: { isHealed: () => boolean; clock: FakeClock; isDead: () => boolean },
): Promise<boolean> {
  const calmAtMs = Math.max(repairAtMs, restAtMs ?? 0, ...[...actions, ...reloads].map(({ atMs }) => atMs));
  const isCalm = () => clock.monotonicMs() >= calmAtMs - roundingMs;
  const untilMs = Math.max(clock.monotonicMs(), calmAtMs) + patienceMs;
  await clock.settle();
  for (let steps = 0; steps < maxSteps && clock.monotonicMs() < untilMs && !isDead(); steps += 1) {
    const nextMs = clock.nextTimerInMs;
    // What is due at this very moment is still to come.
    if (isCalm() && nextMs !== 0 && isHealed()) return true;
    if (nextMs !== undefined && (isCalm() || clock.monotonicMs() + nextMs <= calmAtMs + roundingMs)) await clock.step();
    else if (isCalm()) return isHealed();
    else await clock.advance(calmAtMs - clock.monotonicMs());
  }
  return false;
}

/** Everything wanted is up, save what has ended for good by its own unit file, and what needs that. */
export function isHealedOf({ graph, snapshots }: Executor, first: UnitGraph, user: SimulatedUser): boolean {
  const excused = new Set<string>();
  for (const { unit, state, desired, nextRetryAt } of snapshots()) {
    // A reload is removing it.
    if (!graph.has(unit)) return false;
    if (user.isHeld(unit) && state !== 'stopped') return false;
    const { restart } = graph.unit(unit);
    // Also by an edge that a reload has cut since.
    const losesAndStops = [...graph.needs(unit), ...first.needs(unit)].some(
      (need) => need.kind === 'hard' && need.onLoss === 'stop',
    );
    const isOver =
      (state === 'stopped' && desired === 'down' && (restart.when !== 'always' || losesAndStops)) ||
      (state === 'failed' && nextRetryAt === undefined && restart.when === 'never') ||
      user.isHeld(unit) ||
      // Nobody asked for it again since a reload brought it back.
      (state === 'stopped' && desired === 'down' && user.wasRemoved(unit)) ||
      (graph.unit(unit).hash.endsWith(brokenHash) && user.isUnjudged(unit)) ||
      (state === 'inactive' && desired === 'down');
    const needsExcused = graph.needs(unit).some((need) => need.kind === 'hard' && excused.has(need.unit));
    const waits = state === 'waiting' || state === 'blocked';
    if (isOver || (waits && needsExcused)) excused.add(unit);
    else if (!isUp(state)) return false;
  }
  return true;
}
