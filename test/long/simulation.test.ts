/**
 * The simulation with other cases each time; SIMULATION_RUNS and SIMULATION_SEED say how many and which.
 * docs/long-runs.md has what it found last.
 */
import { expect, test } from 'vitest';
import { simulateKills, simulateMany } from '../executor/simulate-many.ts';

test.each([
  { runs: 20_000, units: { min: 1, max: 8 } },
  { runs: 5_000, units: { min: 9, max: 40 } },
])('over $runs random graphs of $units.min to $units.max units every rule holds', async (size) => {
  const shares = await simulateMany({ ...size, seed: 'random' });
  console.info(
    [...shares]
      .sort(([, a], [, b]) => b - a)
      .map(([state, share]) => `| ${state} | ${(100 * share).toFixed(1)} % |`)
      .join('\n'),
  );
  expect(shares.size).toBeGreaterThan(10);
});

test('killed at every event of 300 random runs, the next supervisor adopts or cleans, and every rule holds', () =>
  simulateKills({ runs: 300, seed: 'random', units: { min: 1, max: 10 } }));
