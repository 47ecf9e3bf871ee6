/** Whatever comes in whatever order, the invariants of the routing state hold (see routing-world.ts). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { policies } from '../../src/balancer/routing-state.ts';
import { live, livesOf } from './routing-world.ts';

describe.each(policies)('[L7] under %s, whatever comes in whatever order', (policy) => {
  test('the invariants hold', () => {
    fc.assert(
      fc.property(livesOf(150), (commands) => void live(policy, commands)),
      { numRuns: 300 },
    );
  });

  test('and when all is quiet again, what has been removed is gone', () => {
    fc.assert(
      fc.property(livesOf(80), (commands) => {
        const world = live(policy, commands);
        world.run({ do: 'pass', ms: 61_000 });
        expect(world.routing.state.servers.filter(({ state }) => state === 'invalid')).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });
});
