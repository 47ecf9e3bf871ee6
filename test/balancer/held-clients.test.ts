/** Clients for whom no server answers: who waits, for how long, and what becomes of it. */
import { describe, expect, test } from 'vitest';
import type { BalancerEvent } from '../../src/balancer/balancer-event.ts';
import { heldClients } from '../../src/balancer/held-clients.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { place, tcpServer, type Place } from './servers-kit.ts';

describe('who waits', () => {
  test('is woken when a server answers, or has waited for long enough, counted from when it came', async () => {
    const clock = fakeClock();
    const held = heldClients(clock, { holdMs: 1000, most: 10 });
    const sinceMs = clock.monotonicMs();
    const [first, second] = [held.wait(sinceMs), held.wait(sinceMs - 400)];
    await clock.advance(600);
    expect(await second?.over).toBe('waited for long enough');
    held.wake();
    expect(await first?.over).toBe('a server answers');
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
    expect(await one?.over).toBe('the client left');
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

const decisions = (lb: Place) => lb.events().filter(({ type }) => type === 'lb.decision');
/** Of each client that was connected. */
const tookMs = (event: BalancerEvent): readonly number[] =>
  event.type === 'lb.routed' ? event.tookMs : event.type === 'lb.decision' ? [event.tookMs] : [];

/** By then whoever had been dialled for before is waiting. */
async function checkedOnceMore(lb: Place, address: string) {
  const asked = lb.verdicts.asked.get(address) ?? 0;
  await expect.poll(() => lb.verdicts.asked.get(address)).toBeGreaterThan(asked + 3);
}

describe('a balancer of which no server answers', () => {
  test('keeps its clients, and what they have said, until one does, and then they are all with it', async () => {
    const { address, port } = await emptyPlace();
    await using lb = await place({ servers: [address], verdict: 'failed', holdMs: longMs });
    const answers = ['1', '2', '3'].map((text) => lb.connect().ask(text));
    await expect.poll(() => lb.forwarder.counts().connections).toBe(3);
    // All dials have failed, and checks since then.
    await expect.poll(() => lb.state(address)).toBe('failed');
    await checkedOnceMore(lb, address);
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
    // Not what became of its dials, which is an older story.
    expect(decisions(lb)).toMatchObject([{ gaveUp: 'the client left', attempts: [{ outcome: 'ECONNREFUSED' }] }]);
    await lb[Symbol.asyncDispose]();
    expect(await stays.ended).not.toBe('');
  });

  test.each(['while it waits', 'while it is dialled for'])(
    'forgets one that has said something and ends %s, and dials no server for it',
    async (when) => {
      const { address, port } = await emptyPlace();
      await using lb = await place({ servers: [address], verdict: 'failed', holdMs: longMs });
      const stays = lb.connect().ask('stays');
      const leaves = lb.connect();
      if (when === 'while it waits') {
        leaves.socket.write('a greeting');
        await expect.poll(() => lb.forwarder.counts().connections).toBe(2);
        await checkedOnceMore(lb, address);
        leaves.socket.end();
      } else leaves.socket.end('a greeting');
      await expect.poll(() => decisions(lb)).toMatchObject([{ gaveUp: 'the client left' }]);
      expect(lb.forwarder.counts().connections).toBe(1);
      const heard: string[] = [];
      await using _server = await tcpServer({
        port,
        onSocket: (socket) =>
          void socket.on('data', (said) => {
            heard.push(said.toString());
            socket.write(said);
          }),
      });
      lb.verdicts.set(address, 'ok');
      expect(await stays).toBe('stays');
      expect(heard).toEqual(['stays']);
    },
  );

  test('has its dial measured from when it was woken, not from when it came', async () => {
    const clock = fakeClock();
    const { address, port } = await emptyPlace();
    await using lb = await place({ servers: [address], verdict: 'failed', holdMs: longMs, forwarderClock: clock });
    const answer = lb.connect().ask('1');
    await expect.poll(() => lb.state(address)).toBe('failed');
    // Only who waits has a timer that long.
    await expect.poll(() => clock.nextTimerInMs).toBe(longMs);
    await clock.advance(30_000);
    await using _server = await tcpServer({
      port,
      onSocket: (socket) => void socket.on('data', (said) => socket.write(said)),
    });
    lb.verdicts.set(address, 'ok');
    expect(await answer).toBe('1');
    await expect.poll(() => lb.events().flatMap(tookMs)).toEqual([0]);
  });
});
