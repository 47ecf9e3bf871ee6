/** The simulation with other cases each time; SIMULATION_RUNS and SIMULATION_SEED say how many and which. */
import { test } from 'vitest';
import { simulateMany } from '../executor/simulate-many.ts';

test.each([
  { runs: 20_000, units: { min: 1, max: 8 } },
  { runs: 5_000, units: { min: 9, max: 40 } },
])('over $runs random graphs of $units.min to $units.max units every rule holds', (size) =>
  simulateMany({ ...size, seed: 'random' }),
);
