/** The simulation of virtual addresses with other seeds each time; SIMULATION_RUNS and SIMULATION_SEED say how many and which. */
import { expect, test } from 'vitest';
import { simulate } from '../vip/simulation/simulate.ts';

test.each(['coordinator', 'per-service', 'mixed'] as const)(
  '[V10] of 10,000 lives with faults (%s), nobody ever answers for an address beside another one, and all heal',
  (election) => {
    const runs = Number(process.env['SIMULATION_RUNS'] ?? '10000');
    const from = Number(process.env['SIMULATION_SEED'] ?? Math.floor(Math.random() * 1e9));
    let [faults, grants, longestMs] = [0, 0, 0];
    for (let seed = from; seed < from + runs; seed += 1) {
      const outcome = simulate({ seed, election });
      faults += outcome.faults;
      grants += outcome.grants;
      longestMs = Math.max(longestMs, outcome.healedAfterMs);
    }
    console.info(
      `${election}, seeds from ${String(from)}: ${String(runs)} lives, ${String(faults)} faults, ` +
        `${String(grants)} grants, healed after ${longestMs.toFixed(0)} ms at most`,
    );
    expect(faults).toBeGreaterThan(runs);
  },
);
