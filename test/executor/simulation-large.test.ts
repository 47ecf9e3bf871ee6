import { test } from 'vitest';
import { simulateMany } from './simulate-many.ts';

test('over 400 random graphs of 9 to 40 units, faults and timings every rule holds', { timeout: 600_000 }, () =>
  simulateMany({ runs: 400, seed: 3, units: { min: 9, max: 40 } }),
);
