import { describe, expect, test } from 'vitest';
import { candidates } from '../../src/balancer/candidates.ts';
import { explainRouting, listServers, simulate } from '../../src/balancer/explain.ts';
import { Routing } from './routing-kit.ts';

const [a, b, c] = ['10.0.0.1:6443', '10.0.0.2:6443', '10.0.0.3:6443'] as const;

/** A generator of its own, so that a draw is the same at each run. Source: mulberry32. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('L5: weighted-random', () => {
  function weighted(): Routing {
    const routing = new Routing({ policy: 'weighted-random' });
    routing.input({
      type: 'update',
      servers: [
        { address: a, weight: 3 },
        { address: b, weight: 1 },
        { address: c, weight: 0 },
      ],
    });
    return routing.well(a).well(b).well(c);
  }

  test('draws in proportion to the weights; weight 0 comes last', () => {
    const routing = weighted();
    const random = seeded(1);
    const first = new Map<string, number>();
    for (let draw = 0; draw < 4000; draw += 1) {
      const order = candidates(routing.state, 0, random).map(({ server }) => server.address);
      expect(order[2]).toBe(c);
      first.set(order[0] ?? '', (first.get(order[0] ?? '') ?? 0) + 1);
    }
    expect(first.get(a)).toBeGreaterThan(2850);
    expect(first.get(a)).toBeLessThan(3150);
    expect(first.get(c)).toBeUndefined();
  });

  test('several are active at once, and nobody’s connections are closed for that', () => {
    const routing = weighted().dialled(a).dialled(b);
    expect(routing.text).toBe(`${a}=active(1) ${b}=active(1) ${c}=preferred`);
    expect(routing.closings).toEqual([]);
  });

  test('a failed one is drawn by nobody until it is well again', () => {
    const routing = weighted().dialled(a).checked(a, 'failed');
    expect(routing.closings).toEqual([`${a} within 0`]);
    for (const seed of [1, 2, 3, 4, 5]) {
      expect(candidates(routing.state, 0, seeded(seed)).at(-1)?.server.address).toBe(a);
    }
  });
});

test('between two that are equal the rank decides, so that not every node takes the same one', () => {
  const routing = new Routing();
  const ranks = [0.9, 0.1];
  routing.random = () => ranks.shift() ?? 0.5;
  expect(routing.update(a, b).order()).toEqual([b, a]);
});

describe('L8: the answers to an operator', () => {
  test('each candidate says why it stands where it stands', () => {
    const routing = new Routing().input({ type: 'default', address: c }).update(a, b).well(a).dialled(a);
    routing.nowMs = 14_000;
    routing.checked(b).dialled(b, 'failed');
    routing.nowMs = 15_000;
    expect(explainRouting(routing.state, routing.nowMs, () => 0.5)).toEqual({
      policy: 'sticky',
      excluded: [],
      candidates: [
        { server: a, why: 'active, carries 1 connection' },
        { server: c, why: 'the default, not in the list: for when nothing of it is left' },
        {
          server: b,
          why: 'failed 1.0 s ago (dial: ECONNREFUSED, 1.0 s ago): only when nothing better is left',
        },
      ],
    });
  });

  test('a removed server is named with what keeps it', () => {
    const routing = new Routing().update(a, b).well(a).dialled(a).well(b).update(b);
    expect(explainRouting(routing.state, 0, () => 0.5).excluded).toEqual([
      { server: a, why: 'removed; 1 of its connections are still being closed' },
    ]);
  });

  test('the list has state, since when, connections, marks and the last error', () => {
    const routing = new Routing().update(a).input({ type: 'default', address: a }).dialled(a, 'failed');
    routing.nowMs = 500;
    expect(listServers(routing.state, routing.nowMs)).toEqual([
      {
        address: a,
        state: 'failed',
        forMs: 500,
        connections: 0,
        weight: 1,
        marks: ['default'],
        lastError: { source: 'dial', reason: 'ECONNREFUSED', agoMs: 500 },
      },
    ]);
  });

  test('a simulation tells each step and where the next connection would go, and changes nothing', () => {
    const routing = new Routing().update(a, b).well(a).dialled(a).well(b);
    const before = routing.state;
    const { steps, servers } = simulate(
      routing.state,
      [
        { what: 'check-failed', server: a },
        { what: 'dial-ok', server: b },
        { what: 'update', servers: [a] },
        { what: 'dial-ok', server: 'nobody:1' },
      ],
      { nowMs: 0, random: () => 0.5 },
    );
    expect(steps.map(({ next }) => next)).toEqual([b, b, b, b]);
    expect(steps[0]?.events).toContainEqual(
      expect.objectContaining({ type: 'lb.server', server: a, from: 'active', to: 'failed' }),
    );
    expect(steps[3]?.events).toEqual([]);
    expect(servers.map(({ address, state, marks }) => [address, state, marks])).toEqual([
      [a, 'failed', []],
      [b, 'active', ['leaving']],
    ]);
    expect(routing.state).toBe(before);
  });
});
