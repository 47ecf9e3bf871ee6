/** Clients for whom no server answers: who waits, for how long, and what becomes of it. */
import { describe, expect, test } from 'vitest';
import { heldClients } from '../../src/balancer/held-clients.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { place, tcpServer } from './servers-kit.ts';

describe('who waits', () => {
  test('is woken when a server answers, or has waited for long enough, counted from when it came', async () => {
    const clock = fakeClock();
    const held = heldClients(clock, { holdMs: 1000, most: 10 });
    const sinceMs = clock.monotonicMs();
    const [first, second] = [held.wait(sinceMs), held.wait(sinceMs - 400)];
    await clock.advance(600);
    expect(await second?.over).toBe(false);
    held.wake();
    expect(await first?.over).toBe(true);
    expect(held.wait(sinceMs)).toBeDefined();
    await clock.advance(400);
    expect(held.wait(sinceMs), 'its time is over').toBeUndefined();
    expect(clock.pendingTimers).toBe(0);
  });

  test('is one of not too many, and may leave', async () => {
    const clock = fakeClock();
    const held = heldClients(clock, { holdMs: 1000, most: 1 });
    const one = held.wait(clock.monotonicMs());
    expect(held.wait(clock.monotonicMs())).toBeUndefined();
    one?.cancel();
    expect(await one?.over).toBe(false);
    expect(clock.pendingTimers).toBe(0);
    expect(held.wait(clock.monotonicMs())).toBeDefined();
  });

  test('nobody, unless that is wanted', () => {
    const clock = fakeClock();
    expect(heldClients(clock, { holdMs: 0, most: 10 }).wait(clock.monotonicMs())).toBeUndefined();
  });
});

/** An address where nobody listens. */
async function emptyPlace(): Promise<{ address: string; port: number }> {
  await using server = await tcpServer();
  return { address: server.address, port: Number(server.address.split(':')[1]) };
}
const longMs = 60_000;

describe('a balancer of which no server answers', () => {
  test('keeps its clients, and what they have said, until one does, and then they are all with it', async () => {
    const { address, port } = await emptyPlace();
    await using lb = await place({ servers: [address], verdict: 'failed', holdMs: longMs });
    const answers = ['1', '2', '3'].map((text) => lb.connect().ask(text));
    await expect.poll(() => lb.forwarder.counts().connections).toBe(3);
    // All dials have failed, and checks since then.
    await expect.poll(() => lb.state(address)).toBe('failed');
    const asked = lb.verdicts.asked.get(address) ?? 0;
    await expect.poll(() => lb.verdicts.asked.get(address)).toBeGreaterThan(asked + 3);
    await using _server = await tcpServer({
      port,
      onSocket: (socket) => void socket.on('data', (said) => socket.write(said)),
    });
    lb.verdicts.set(address, 'ok');
    expect(await Promise.all(answers)).toEqual(['1', '2', '3']);
    expect(lb.events().filter((one) => 'gaveUp' in one)).toEqual([]);
  });

  test('closes them when they have waited for long enough', async () => {
    const { address } = await emptyPlace();
    await using lb = await place({ servers: [address], verdict: 'failed', holdMs: 50 });
    expect(await lb.connect().ended).toBe('end');
    await expect.poll(() => lb.forwarder.counts().connections).toBe(0);
    expect(lb.events().at(-1)).toMatchObject({ type: 'lb.decision', gaveUp: 'all servers failed' });
  });

  test('forgets one that leaves, and keeps none when it ends', async () => {
    const { address } = await emptyPlace();
    const lb = await place({ servers: [address], verdict: 'failed', holdMs: longMs });
    const [leaves, stays] = [lb.connect(), lb.connect()];
    await expect.poll(() => lb.forwarder.counts().connections).toBe(2);
    leaves.socket.destroy();
    await expect.poll(() => lb.forwarder.counts().connections).toBe(1);
    await lb[Symbol.asyncDispose]();
    expect(await stays.ended).not.toBe('');
  });
});
