/** Whatever comes in whatever order, the invariants of the routing state hold (routing-invariants.ts). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Effect } from '../../src/balancer/routing-input.ts';
import { policies, serverStates, type CloseReason, type ServerState } from '../../src/balancer/routing-state.ts';
import { rulesOf, serverInputs } from '../../src/balancer/server-table.ts';
import { holdAlways } from './routing-invariants.ts';
import { live, livesOf } from './routing-world.ts';

const closeReasons: readonly CloseReason[] = ['failed', 'removed', 'takeover', 'drained', 'silent'];
const effects: readonly Effect['type'][] = ['enter', 'leave', 'abandon', 'recheck', 'close', 'keep', 'discard', 'tell'];

function transitionsOf(state: ServerState): readonly string[] {
  const rules = serverInputs.flatMap((input) => rulesOf(state, input));
  const reached = rules.flatMap(({ to }) => (to === 'claims active' ? ['active'] : to === state ? [] : [to]));
  return reached.map((to) => `${state} → ${to}`);
}
const everything = new Set([
  ...['unchecked', 'standby'].map((to) => `new → ${to}`),
  ...serverStates.flatMap(transitionsOf),
  ...closeReasons.map((reason) => `close ${reason}`),
  ...effects.map((type) => `effect ${type}`),
]);

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
        holdAlways(world);
        expect(world.routing.state.servers.filter(({ state }) => state === 'invalid')).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });

  test('and such lives come through every transition of the table, every effect, every reason to close', () => {
    const lives = fc.sample(livesOf(150), { numRuns: 300, seed: 1 });
    const cameThrough = lives.flatMap((commands) => [...live(policy, commands).cameThrough]);
    const lacking = [...everything].filter((each) => !cameThrough.includes(each));
    // Only `sticky` has a single active server, for which another one makes way.
    expect(lacking).toEqual(policy === 'sticky' ? [] : ['active → preferred']);
  });
});
