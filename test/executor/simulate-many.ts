/**
 * Thousands of random cases, and the proof that they go where it hurts. SIMULATION_RUNS and
 * SIMULATION_SEED change how many and which; a failure prints its seed, its shrunk case and its story.
 */
import fc from 'fast-check';
import { expect } from 'vitest';
import type { Reached } from '../kit/observer.ts';
import { simulationCases } from '../kit/simulation-case.ts';
import { simulate, type Outcome } from '../kit/simulator.ts';

/** Of all cases at least such a share reaches each of these, or the simulation proves too little. */
const mustReach: readonly (readonly [Reached, number])[] = [
  ['blocked', 0.1],
  ['backoff', 0.1],
  ['recovered', 0.1],
  ['user stop', 0.1],
  ['held', 0.1],
  ['reloaded', 0.1],
  ['rolled back', 0.02],
  ['killed', 0.08],
  // A kill may come when nothing runs yet, or what runs may match no more.
  ['adopted', 0.05],
];

export interface ManyOptions {
  readonly runs: number;
  /** A number: the same cases each time. SIMULATION_SEED overrides it. */
  readonly seed: number | 'random';
  readonly units: { readonly min: number; readonly max: number };
}

/** @returns the share of cases that reached each of what can be reached */
export async function simulateMany(options: ManyOptions): Promise<ReadonlyMap<Reached, number>> {
  const { runs, ...parameters } = parametersOf(options);
  const reached = new Map<Reached, number>();
  const property = fc.asyncProperty(simulationCases(options.units), async (simulation) => {
    const outcome = await simulate(simulation);
    for (const state of outcome.reached) reached.set(state, (reached.get(state) ?? 0) + 1);
    mustBeSound(outcome);
  });
  await fc.assert(property, { numRuns: runs, ...parameters });
  for (const [state, share] of mustReach) {
    expect(reached.get(state) ?? 0, `cases of ${String(runs)} that reached "${state}"`).toBeGreaterThanOrEqual(
      runs * share,
    );
  }
  return new Map([...reached].map(([state, count]) => [state, count / runs]));
}

/** Each random case as often as it has events, with the supervisor killed at each of them in turn. */
export async function simulateKills(options: ManyOptions): Promise<void> {
  const { runs, ...parameters } = parametersOf(options);
  let kills = 0;
  const property = fc.asyncProperty(simulationCases(options.units), async (simulation) => {
    const { events } = await simulate({ ...simulation, kills: [] });
    for (let atEvent = 0; atEvent < events; atEvent += 1) {
      const outcome = await simulate({ ...simulation, kills: [{ atEvent, changed: [] }] });
      mustBeSound(outcome, `killed at event ${String(atEvent)}:\n`);
      expect(outcome.reached, `killed at event ${String(atEvent)}`).toContain('killed');
      kills += 1;
    }
  });
  await fc.assert(property, { numRuns: runs, ...parameters });
  // Less than ten events a run would be no start at all.
  expect(kills).toBeGreaterThan(10 * runs);
}

function parametersOf({ runs, seed }: ManyOptions): { readonly runs: number; readonly seed?: number } {
  const given = process.env['SIMULATION_SEED'] ?? String(seed);
  return {
    runs: Number(process.env['SIMULATION_RUNS'] ?? runs),
    ...(given === 'random' ? {} : { seed: Number(given) }),
  };
}

function mustBeSound({ violations, story }: Outcome, before = ''): void {
  if (violations.length > 0) throw new Error(`${before}${violations.slice(0, 10).join('\n')}\n\n${story()}`);
}
