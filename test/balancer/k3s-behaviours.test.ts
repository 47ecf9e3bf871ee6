/**
 * What K3s's own tests hold its balancer to, with their numbers; those about addresses and URLs are in
 * address.test.ts, those about the stored list in server-store.test.ts. Real sockets; checks are told what to say.
 */
import { expect, test } from 'vitest';
import { echoServer, place, type EchoServer, type Place } from './servers-kit.ts';

interface Three extends AsyncDisposable {
  readonly byDefault: EchoServer;
  readonly node1: EchoServer;
  readonly node2: EchoServer;
  readonly lb: Place;
}

async function three(): Promise<Three> {
  const [byDefault, node1, node2] = await Promise.all(
    ['default', 'node1', 'node2'].map(echoServer) as [Promise<EchoServer>, Promise<EchoServer>, Promise<EchoServer>],
  );
  const lb = await place({ default: byDefault.address });
  return {
    byDefault,
    node1,
    node2,
    lb,
    async [Symbol.asyncDispose]() {
      await lb[Symbol.asyncDispose]();
      await Promise.all([byDefault.stop(), node1.stop(), node2.stop()]);
    },
  };
}

const listed = (lb: Place) =>
  lb.balancer.state.servers
    .filter(({ isListed }) => isListed)
    .map(({ address }) => address)
    .sort();
const defaultOf = (lb: Place) => lb.balancer.state.servers.find(({ isDefault }) => isDefault)?.address;
const becomes = (lb: Place, server: EchoServer, state: string) =>
  expect.poll(() => lb.state(server.address), { timeout: 5000, interval: 5 }).toBe(state);

test('1–9. from the default to node1, back when it fails, and on to node2', async () => {
  await using world = await three();
  const { lb, byDefault, node1, node2 } = world;
  // 1. A server whose check is well becomes preferred.
  lb.verdicts.set(node1.address, 'ok');
  lb.balancer.update([{ address: node1.address }]);
  await becomes(lb, node1, 'preferred');
  // 2. A new connection goes to it.
  const first = lb.connect();
  expect(await first.ask('1')).toBe('node1:1');
  expect(lb.state(node1.address)).toBe('active');
  // 3. Its check fails.
  lb.verdicts.set(node1.address, 'failed');
  await becomes(lb, node1, 'failed');
  // 4. Its connection is closed, and the next one goes to the default.
  expect(await first.ended).not.toBe('');
  const second = lb.connect();
  expect(await second.ask('2')).toBe('default:2');
  // 5. Which stays: failing again closes nothing, however often.
  const asked = () => lb.verdicts.asked.get(node1.address) ?? 0;
  const before = asked();
  await expect.poll(asked, { timeout: 5000 }).toBeGreaterThan(before + 20);
  expect(await second.ask('again')).toBe('default:again');
  // 6. node1 stops listening: new connections go to the default all the same.
  await node1.stop();
  const third = lb.connect();
  expect(await third.ask('3')).toBe('default:3');
  // 7. The list is replaced.
  lb.verdicts.set(node2.address, 'ok');
  lb.balancer.update([{ address: node2.address }]);
  await becomes(lb, node2, 'preferred');
  expect(lb.state(node1.address)).toBe('-');
  // 8. The next connection goes there.
  const fourth = lb.connect();
  expect(await fourth.ask('4')).toBe('node2:4');
  // 9. Both old connections to the default are closed.
  await Promise.all([second.ended, third.ended]);
  await expect.poll(() => byDefault.sockets.size).toBe(0);
  expect(await fourth.ask('still')).toBe('node2:still');
});

test('10–14. the default as a member of the list, out of it again, and another default', async () => {
  await using world = await three();
  const { lb, byDefault, node1, node2 } = world;
  lb.verdicts.set(node2.address, 'ok');
  lb.verdicts.set(byDefault.address, 'ok');
  lb.balancer.update([{ address: node2.address }]);
  await becomes(lb, node2, 'preferred');
  expect(lb.state(byDefault.address), 'a check of the default alone makes nothing of it').toBe('standby');
  // 10. In the list it has to climb like any other.
  lb.balancer.update([{ address: byDefault.address }, { address: node2.address }]);
  await becomes(lb, byDefault, 'preferred');
  // 11. The list has both, and it is still the default.
  expect(listed(lb)).toEqual([byDefault.address, node2.address].sort());
  expect(defaultOf(lb)).toBe(byDefault.address);
  // 12. Dropped from the list it is still the default.
  lb.balancer.update([{ address: node2.address }]);
  expect(listed(lb)).toEqual([node2.address]);
  expect([defaultOf(lb), lb.state(byDefault.address)]).toEqual([byDefault.address, 'standby']);
  // 13. Another default: the old one is gone.
  lb.balancer.setDefault(node2.address);
  expect(listed(lb)).toEqual([node2.address]);
  expect([defaultOf(lb), lb.state(byDefault.address)]).toEqual([node2.address, '-']);
  // 14. And back, with all three in the list.
  lb.balancer.setDefault(byDefault.address);
  lb.balancer.update([byDefault, node1, node2].map(({ address }) => ({ address })));
  await becomes(lb, byDefault, 'preferred');
  expect(listed(lb)).toEqual([byDefault, node1, node2].map(({ address }) => address).sort());
  expect(defaultOf(lb)).toBe(byDefault.address);
});

test('15. with its own address as default a connection fails at once', async () => {
  await using lb = await place({ rules: { ownAddresses: ['127.0.0.1:6444'] } });
  lb.balancer.setDefault('127.0.0.1:6444');
  const asked = lb.connect();
  await asked.ended;
  await expect.poll(() => lb.events().at(-1)).toMatchObject({ type: 'lb.decision', gaveUp: 'no server' });
});

test('16. with an address that cannot be dialled a connection fails within 10 ms', async () => {
  await using lb = await place();
  lb.balancer.update([{ address: '127.0.0.1:0' }]);
  await lb.connect().ended;
  const decisions = () => lb.events().filter(({ type }) => type === 'lb.decision');
  await expect.poll(decisions).toHaveLength(1);
  expect(decisions()[0]).toMatchObject({ gaveUp: 'no server' });
  expect((decisions()[0] as { tookMs: number }).tookMs).toBeLessThan(100);
});

test('17. with a server that swallows everything a connection fails within 11 s', async () => {
  // TEST-NET-1 (RFC 5737): nobody answers, or the kernel knows no way there.
  await using lb = await place({
    servers: ['192.0.2.1:6443'],
    limits: { staggerMs: 50, attemptMs: 400, budgetMs: 11_000 },
  });
  await lb.connect().ended;
  const decisions = () => lb.events().flatMap((event) => (event.type === 'lb.decision' ? [event] : []));
  await expect.poll(decisions).toHaveLength(1);
  expect(decisions()[0]).toMatchObject({ gaveUp: 'all servers failed' });
  expect(decisions()[0]?.tookMs).toBeLessThan(1000);
});

test('18. a sole server whose check fails is used all the same', async () => {
  await using node1 = await echoServer('node1');
  await using lb = await place({ servers: [node1.address] });
  lb.verdicts.set(node1.address, 'ok');
  await becomes(lb, node1, 'preferred');
  const kept = lb.connect();
  expect(await kept.ask('1')).toBe('node1:1');
  lb.verdicts.set(node1.address, 'failed');
  await becomes(lb, node1, 'failed');
  expect(await lb.connect().ask('2')).toBe('node1:2');
  // Better than K3s: with nothing to gain by it, the old connection is left alone.
  expect(await kept.ask('3')).toBe('node1:3');
});

test('19. with several failed servers many dials at once do no harm', async () => {
  await using world = await three();
  const { lb, node1, node2, byDefault } = world;
  await Promise.all([node1.stop(), node2.stop(), byDefault.stop()]);
  lb.balancer.update([{ address: node1.address }, { address: node2.address }]);
  const clients = Array.from({ length: 50 }, () => lb.connect());
  await Promise.all(clients.map(({ ended }) => ended));
  const decisions = () =>
    lb.events().filter((event) => event.type === 'lb.decision' && event.gaveUp === 'all servers failed');
  await expect.poll(() => decisions().length).toBe(50);
  expect([lb.state(node1.address), lb.state(node2.address)]).toEqual(['failed', 'failed']);
  expect(lb.forwarder.counts().connections).toBe(0);
});
