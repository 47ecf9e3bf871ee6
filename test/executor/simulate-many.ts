/**
 * Thousands of random cases, and the proof that they go where it hurts. SIMULATION_RUNS and
 * SIMULATION_SEED change how many and which; a failure prints its seed, its shrunk case and its story.
 */
import fc from 'fast-check';
import { expect } from 'vitest';
import type { Reached } from '../kit/observer.ts';
import { simulationCases } from '../kit/simulation-case.ts';
import { simulate } from '../kit/simulator.ts';

/** Of all cases at least such a share reaches each of these, or the simulation proves too little. */
const mustReach: readonly (readonly [Reached, number])[] = [
  ['blocked', 0.1],
  ['backoff', 0.1],
  ['recovered', 0.1],
  ['user stop', 0.1],
  ['held', 0.1],
  ['reloaded', 0.1],
  // A kill may come when nothing runs yet, or what runs may match no more.
  ['adopted', 0.05],
];

export async function simulateMany(options: {
  readonly runs: number;
  /** A number: the same cases each time. SIMULATION_SEED overrides it. */
  readonly seed: number | 'random';
  readonly units: { readonly min: number; readonly max: number };
}): Promise<void> {
  const runs = Number(process.env['SIMULATION_RUNS'] ?? options.runs);
  const seed = process.env['SIMULATION_SEED'] ?? String(options.seed);
  const reached = new Map<Reached, number>();
  const property = fc.asyncProperty(simulationCases(options.units), async (simulation) => {
    const outcome = await simulate(simulation);
    for (const state of outcome.reached) reached.set(state, (reached.get(state) ?? 0) + 1);
    if (outcome.violations.length === 0) return;
    throw new Error(`${outcome.violations.slice(0, 10).join('\n')}\n\n${outcome.story()}`);
  });
  await fc.assert(property, { numRuns: runs, ...(seed === 'random' ? {} : { seed: Number(seed) }) });
  for (const [state, share] of mustReach) {
    expect(reached.get(state) ?? 0, `cases of ${String(runs)} that reached "${state}"`).toBeGreaterThanOrEqual(
      runs * share,
    );
  }
}
