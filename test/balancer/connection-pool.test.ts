import { expect, test } from 'vitest';
import { connectionPool, idleMs, type PooledConnection } from '../../src/balancer/connection-pool.ts';
import { fakeClock } from '../kit/fake-clock.ts';

const server = { address: 'a:1', incarnation: 1 };
const other = { address: 'b:1', incarnation: 2 };

function start() {
  const clock = fakeClock();
  const pool = connectionPool(clock);
  const add = (to = server) => {
    const connection = {
      movedBytes: 0,
      isAsking: false as boolean,
      closedAtMs: undefined as number | undefined,
      close() {
        connection.closedAtMs = clock.monotonicMs();
        pool.delete(to, connection);
      },
    } satisfies PooledConnection & { closedAtMs: number | undefined };
    pool.add(to, connection);
    return connection;
  };
  return { clock, pool, add };
}

test('[L4] without grace all connections of one server are closed at once, and no other ones', () => {
  const { pool, add } = start();
  const [a, b, c] = [add(), add(), add(other)];
  pool.close(server, 0);
  expect([a.closedAtMs, b.closedAtMs, c.closedAtMs]).toEqual([0, 0, undefined]);
  expect(pool.size).toBe(1);
});

test('with grace an idle one goes at the first look, one that moves or waits for an answer at the deadline', async () => {
  const { clock, pool, add } = start();
  const [idle, busy, asking] = [add(), add(), add()];
  asking.isAsking = true;
  pool.close(server, 1000);
  for (let passed = 0; passed < 1200; passed += 50) {
    busy.movedBytes += 1;
    await clock.advance(50);
  }
  expect([idle.closedAtMs, busy.closedAtMs, asking.closedAtMs]).toEqual([idleMs, 1000, 1000]);
  expect([pool.size, clock.pendingTimers]).toEqual([0, 0]);
});

test('one that gets its answer goes at the next look', async () => {
  const { clock, pool, add } = start();
  const asking = add();
  asking.isAsking = true;
  pool.close(server, 10_000);
  await clock.advance(450);
  asking.isAsking = false;
  asking.movedBytes += 100;
  await clock.advance(1000);
  expect(asking.closedAtMs).toBe(600);
});

test('a shorter grace counts, a longer one does not', async () => {
  const { clock, pool, add } = start();
  const asking = add();
  asking.isAsking = true;
  pool.close(server, 5000);
  pool.close(server, 9000);
  pool.close(server, 2000);
  await clock.advance(10_000);
  expect(asking.closedAtMs).toBe(2000);
});

test('what is to be kept after all is left alone, and one that is added later was never meant', async () => {
  const { clock, pool, add } = start();
  const kept = add();
  kept.isAsking = true;
  pool.close(server, 1000);
  pool.keep(server);
  const late = add();
  await clock.advance(5000);
  expect([kept.closedAtMs, late.closedAtMs, clock.pendingTimers]).toEqual([undefined, undefined, 0]);
});

test('disposing closes everything and leaves no timer', () => {
  const { clock, pool, add } = start();
  const all = [add(), add(other)];
  pool.close(server, 1000);
  pool[Symbol.dispose]();
  expect(all.every(({ closedAtMs }) => closedAtMs === 0)).toBe(true);
  expect([pool.size, clock.pendingTimers]).toEqual([0, 0]);
});
