import { test } from 'vitest';
import { simulateKills } from './simulate-many.ts';

test(
  'killed at every event of 12 random runs, the next supervisor adopts or cleans, and every rule holds',
  { timeout: 600_000 },
  () => simulateKills({ runs: 12, seed: 1, units: { min: 1, max: 5 } }),
);
