import { test } from 'vitest';
import { simulateMany } from './simulate-many.ts';

test('over 9600 random graphs of 1 to 8 units, faults and timings every rule holds', { timeout: 600_000 }, () =>
  simulateMany({ runs: 9600, seed: 1, units: { min: 1, max: 8 } }),
);
