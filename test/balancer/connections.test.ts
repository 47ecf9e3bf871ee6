/** Connections while servers fail, are removed and come: closed by rule (L4), and never lost by a change of the list (L7). */
import type { Socket } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deferred } from '../../src/kernel/deferred.ts';
import { echoServer, place, tcpServer } from './servers-kit.ts';

describe('[L4] closing by rule', () => {
  test('a connection that is busy has its grace, an idle one goes at once', async () => {
    await using server = await echoServer('old');
    await using other = await echoServer('new');
    await using lb = await place({
      servers: [server.address],
      rules: { graces: { removedMs: 60_000, takeoverMs: 60_000, drainedMs: 60_000 } },
    });
    const [busy, idle] = [lb.connect(), lb.connect()];
    expect(await busy.ask('1')).toBe('old:1');
    expect(await idle.ask('1')).toBe('old:1');
    // The other way round the old one would be kept until the new one has answered.
    lb.balancer.update([{ address: server.address }, { address: other.address }]);
    lb.verdicts.set(other.address, 'ok');
    await expect.poll(() => lb.state(other.address)).toBe('preferred');
    lb.balancer.update([{ address: other.address }]);
    const gone = { idle: false };
    void idle.ended.then(() => (gone.idle = true));
    for (let count = 2; !gone.idle; count += 1) expect(await busy.ask(String(count))).toBe(`old:${String(count)}`);
    expect(lb.state(server.address)).toBe('invalid');
    expect(await lb.connect().ask('x')).toBe('new:x');
    // Now it is idle too.
    await busy.ended;
    await expect.poll(() => lb.state(server.address)).toBe('-');
  });

  test('a request that takes its time is answered before its connection is closed', async () => {
    const asked = deferred<Socket>();
    await using slow = await tcpServer({ onSocket: (socket) => void socket.once('data', () => asked.resolve(socket)) });
    await using other = await echoServer('new');
    const graces = { removedMs: 60_000, takeoverMs: 60_000, drainedMs: 60_000 };
    await using lb = await place({ servers: [slow.address], rules: { graces }, verdict: 'ok' });
    const client = lb.connect();
    const answer = client.ask('a long list, please');
    const server = await asked.promise;
    lb.balancer.update([{ address: slow.address }, { address: other.address }]);
    await expect.poll(() => lb.state(other.address)).toBe('preferred');
    lb.balancer.update([{ address: other.address }]);
    // Long enough for several looks, of which none may take it for idle.
    const looks = () => lb.verdicts.asked.get(other.address) ?? 0;
    const before = looks();
    await expect.poll(looks, { timeout: 10_000 }).toBeGreaterThan(before + 20);
    expect(lb.state(slow.address)).toBe('invalid');
    server.write('all of it');
    expect(await answer).toBe('all of it');
    expect(await client.ended).not.toBe('');
    await expect.poll(() => lb.state(slow.address)).toBe('-');
  });

  test('a failed server’s connections are reset away within milliseconds, and the next ones go on', async () => {
    await using first = await echoServer('first');
    await using second = await echoServer('second');
    await using lb = await place({ servers: [first.address, second.address] });
    const one = lb.connect();
    const name = (await one.ask('1')).split(':')[0];
    const [mine, other] = name === 'first' ? [first, second] : [second, first];
    await mine.stop();
    await one.ended;
    const startedMs = performance.now();
    expect(await lb.connect().ask('2')).toBe(`${other === first ? 'first' : 'second'}:2`);
    expect(performance.now() - startedMs).toBeLessThan(500);
    expect(lb.state(mine.address)).toBe('failed');
  });
});

test('500 connections at once, servers coming and going: each is answered by a server of the list, and none is left', async () => {
  await using a = await echoServer('a');
  await using b = await echoServer('b');
  await using lb = await place({
    servers: [a.address, b.address],
    rules: { policy: 'weighted-random' },
    random: Math.random,
  });
  for (const server of [a, b]) lb.verdicts.set(server.address, 'ok');
  await expect.poll(() => [lb.state(a.address), lb.state(b.address)]).toEqual(['preferred', 'preferred']);
  const clients = Array.from({ length: 500 }, () => lb.connect());
  const answers = await Promise.all(clients.map((each) => each.ask('x')));
  const counted = {
    a: answers.filter((text) => text === 'a:x').length,
    b: answers.filter((text) => text === 'b:x').length,
  };
  expect(counted.a + counted.b).toBe(500);
  expect(Math.min(counted.a, counted.b)).toBeGreaterThan(0);
  lb.balancer.update([{ address: b.address }]);
  await expect.poll(() => a.sockets.size).toBe(0);
  expect(b.sockets.size).toBe(counted.b);
  for (const each of clients) each[Symbol.dispose]();
  await expect.poll(() => lb.balancer.list().map(({ connections }) => connections)).toEqual([0]);
  expect(lb.forwarder.counts().connections).toBe(0);
});

test('[L7] the list changes all the time under many clients: no request is lost, and no connection outlives its server', async () => {
  const servers = await Promise.all(['a', 'b', 'c'].map(echoServer));
  await using lb = await place({
    servers: servers.map(({ address }) => address),
    rules: { graces: { removedMs: 5000, takeoverMs: 5000, drainedMs: 5000 } },
    random: Math.random,
    verdict: 'ok',
  });
  const life = { isOver: false };
  const lost: string[] = [];
  let asked = 0;
  const clients = Array.from({ length: 20 }, async () => {
    while (!life.isOver) {
      asked += 1;
      using one = lb.connect();
      const answer = await one.ask('x');
      if (!/^[abc]:x$/.test(answer)) lost.push(answer);
    }
  });
  const random = fc.sample(fc.subarray(servers, { minLength: 1 }), 60);
  for (const list of random) {
    lb.balancer.update(list.map(({ address }) => ({ address })));
    const before = asked;
    await expect.poll(() => asked, { interval: 1 }).toBeGreaterThan(before + 5);
  }
  life.isOver = true;
  await Promise.all(clients);
  expect(asked).toBeGreaterThan(300);
  expect(lost).toEqual([]);
  lb.balancer.update([{ address: servers[0]?.address ?? '' }]);
  await expect.poll(() => lb.balancer.list().map(({ connections }) => connections)).toEqual([0]);
  expect(lb.forwarder.counts().connections).toBe(0);
  await Promise.all(servers.map((server) => server.stop()));
});
