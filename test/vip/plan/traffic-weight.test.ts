import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PlanInput } from '../../../src/vip/plan/plan-model.ts';
import { plan } from '../../../src/vip/plan/plan.ts';
import { levelOf, rateOf, trafficPolicy, weighByTraffic } from '../../../src/vip/plan/traffic-weight.ts';
import { evenAtOnce, nowMs } from './plan-text.ts';

const kib = 1024;

test.each<readonly [bytesPerS: number, before: number | undefined, level: number]>([
  [0, undefined, 0],
  [kib / 2, undefined, 0],
  [kib, undefined, 1],
  [2 * kib, undefined, 3],
  [1024 * kib, undefined, 21],
  // Half-way up is the next level, but not for one that has a level.
  [1.2 * kib, undefined, 2],
  [1.2 * kib, 1, 1],
  [1.2 * kib, 2, 2],
  [1.4 * kib, 1, 2],
  [0, 1, 0],
  [0, 20, 0],
])('%d bytes a second, from level %s, are level %d', (bytesPerS, before, level) => {
  expect(levelOf(bytesPerS, before)).toBe(level);
});

test('a rate that wavers by 8 % stays on its level, and a level is no more than a fifth off', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1e10, noNaN: true }),
      fc.double({ min: 0.92, max: 1.08, noNaN: true }),
      (rate, by) => {
        const level = levelOf(rate);
        expect(levelOf(rate * by, level)).toBe(level);
        if (level > 0) expect(Math.abs(rateOf(level) / rate - 1)).toBeLessThan(0.2);
      },
    ),
  );
});

describe('weights', () => {
  const given = [
    { address: 'a', weight: 1 },
    { address: 'b', weight: 1 },
    { address: 'c', weight: 2 },
  ];
  const busy = levelOf(100 * kib);
  test.each<readonly [string, Readonly<Record<string, number>>, readonly number[]]>([
    ['of what nobody has measured are as given', {}, [1, 1, 2]],
    ['of what has equal traffic are as given', { a: busy, b: busy, c: busy }, [1, 1, 2]],
    ['of what is idle are a tenth of the average', { a: 0, b: 0, c: 0 }, [0.1, 0.1, 0.2]],
    ['follow the traffic', { a: busy, b: 0, c: 0 }, [2.8, 0.1, 0.2]],
    ['of what has not been measured yet are average', { a: busy, b: 0 }, [1.9, 0.1, 2]],
    ['of next to no traffic do not differ much', { a: 1, b: 0, c: 0 }, [0.19, 0.1, 0.2]],
  ])('%s', (_what, levels, expected) => {
    const weighed = weighByTraffic(given, new Map(Object.entries(levels)));
    for (const [at, { weight }] of weighed.entries()) expect(weight).toBeCloseTo(expected[at] ?? Number.NaN, 2);
  });
});

describe('a plan by traffic', () => {
  const nodes = ['a', 'b', 'c'].map((name) => ({ name, state: 'ready', capacity: 1, penalty: 0 }) as const);
  function inputOf(levels: readonly number[], owners: PlanInput['owners'], rebalancing = false): PlanInput {
    const addresses = levels.map((_, at) => ({ address: `10.0.0.${String(at)}`, weight: 1 }));
    const byAddress = new Map(addresses.map(({ address }, at) => [address, levels[at] ?? 0]));
    return {
      addresses: weighByTraffic(addresses, byAddress),
      nodes,
      owners,
      moving: new Set(),
      policy: { ...trafficPolicy(evenAtOnce), restMs: 0 },
      recentMovesAtMs: [],
      rebalancing,
      nowMs,
    };
  }

  test('takes the others off a node that one busy address fills', () => {
    const levels = [...[20, 16, 16, 16, 16].map((each) => each), 0];
    const owners = new Map(levels.map((_, at) => [`10.0.0.${String(at)}`, 'a']));
    const { owners: after } = plan(inputOf(levels, owners));
    const withBusy = [...after].filter(([, owner]) => owner === after.get('10.0.0.0')).length;
    expect(withBusy).toBeLessThan(3);
    expect(new Set(after.values()).size).toBe(3);
  });

  test('an address rests between moves, and nothing is begun for less than a quarter', () => {
    expect(trafficPolicy(evenAtOnce)).toMatchObject({ startAbove: 1.25, stopBelow: 1.1, restMs: 300_000 });
    // 1.2 of the mean on one node.
    const owners = new Map([0, 1, 2, 3, 4, 5].map((at) => [`10.0.0.${String(at)}`, nodes[at % 3]?.name ?? '']));
    expect(plan(inputOf([13, 13, 13, 14, 13, 13], owners)).moves).toEqual([]);
  });

  test('comes to rest, whatever the traffic, and stays so while no level changes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 25 }),
        fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 25, maxLength: 25 }),
        (levels, places) => {
          let owners: PlanInput['owners'] = new Map(levels.map((_, at) => [`10.0.0.${String(at)}`, places[at] ?? 'a']));
          let rebalancing = false;
          let rounds = 0;
          for (let moves = 1; moves > 0; rounds += 1) {
            const planned = plan(inputOf(levels, owners, rebalancing));
            moves = planned.moves.length;
            ({ owners, rebalancing } = planned);
            expect(rounds).toBeLessThan(10);
          }
          expect(plan(inputOf(levels, owners, rebalancing)).moves).toEqual([]);
        },
      ),
    );
  });

  test('of 1000 addresses on 100 nodes is made fast enough', () => {
    const levels = Array.from({ length: 1000 }, (_, at) => (at * 7919) % 31);
    const owners = new Map(levels.map((_, at) => [`10.0.0.${String(at)}`, nodes[at % 3]?.name ?? '']));
    const many = Array.from({ length: 100 }, (_, at) => ({ ...nodes[0], name: `n${String(at)}` }) as const);
    const input = { ...inputOf(levels, owners), nodes: many as PlanInput['nodes'], owners: new Map<string, string>() };
    const { owners: first } = plan(input);
    const joined = [...many, { ...many[0], name: 'n100' }] as PlanInput['nodes'];
    const tookMs = (given: PlanInput) => {
      const beganMs = performance.now();
      plan(given);
      return performance.now() - beganMs;
    };
    const byTraffic = { ...input, nodes: joined, owners: first };
    const addresses = input.addresses.map(({ address }) => ({ address, weight: 1 }));
    const { owners: even } = plan({ ...input, addresses, policy: evenAtOnce });
    const byCount = { ...byTraffic, addresses, owners: even, policy: evenAtOnce };
    // In turns, for the machine may become slower meanwhile.
    const rounds = Array.from({ length: 7 }, () => ({ traffic: tookMs(byTraffic), count: tookMs(byCount) }));
    const trafficMs = Math.min(...rounds.map(({ traffic }) => traffic));
    const countMs = Math.min(...rounds.map(({ count }) => count));
    console.log(`1000 × 100, a node joins: by traffic ${trafficMs.toFixed(1)} ms, by count ${countMs.toFixed(1)} ms`);
    // 50 ms is the demand; the machine may be slow, but is so for both. It is 11 to 15 times: five times that is too much.
    expect(trafficMs / countMs).toBeLessThan(60);
  });
});
