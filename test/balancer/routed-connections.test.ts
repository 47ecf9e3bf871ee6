import { expect, test } from 'vitest';
import type { BalancerEvent } from '../../src/balancer/balancer-event.ts';
import { routedConnections, tellEveryMs } from '../../src/balancer/routed-connections.ts';
import { fakeClock } from '../kit/fake-clock.ts';

const candidate = (address: string, why = 'active') => ({ server: { address, incarnation: 1 }, why: () => why });

test('connections that went where they were to go are told of together, each with its time', async () => {
  const clock = fakeClock();
  const told: BalancerEvent[] = [];
  const routed = routedConnections(clock, (event) => told.push(event));
  routed.add(candidate('a:1', 'the first reason'), 1);
  routed.add(candidate('b:1'), 2);
  await clock.advance(tellEveryMs - 1);
  routed.add(candidate('a:1', 'a later one'), 3);
  expect(told).toEqual([]);
  await clock.advance(1);
  expect(told).toEqual([
    { type: 'lb.routed', server: 'a:1', why: 'the first reason', tookMs: [1, 3] },
    { type: 'lb.routed', server: 'b:1', why: 'active', tookMs: [2] },
  ]);
});

test('who wants to tell of something else has them told of first, and nothing is told twice', async () => {
  const clock = fakeClock();
  const told: BalancerEvent[] = [];
  const routed = routedConnections(clock, (event) => told.push(event));
  routed.tell();
  routed.add(candidate('a:1'), 1);
  routed.tell();
  expect(told).toHaveLength(1);
  expect(clock.pendingTimers).toBe(0);
  await clock.advance(tellEveryMs);
  expect(told).toHaveLength(1);
});
