/**
 * What K3s's own tests hold its balancer to (k3s-behaviours.ts), as far as servers and connections show it;
 * those about addresses and URLs are in address.test.ts, those about the stored list in server-store.test.ts
 * and test/app/balancer-list.test.ts. Real sockets; checks are told what to say.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { defaultDialLimits } from '../../src/balancer/dial-race.ts';
import { defaultRules } from '../../src/balancer/routing-state.ts';
import { k3sBehaviours, k3sBehavioursWithout } from './k3s-behaviours.ts';
import { echoServer, place, type Client, type EchoServer, type Place, type PlaceOptions } from './servers-kit.ts';

interface Three extends AsyncDisposable {
  readonly byDefault: EchoServer;
  readonly node1: EchoServer;
  readonly node2: EchoServer;
  readonly lb: Place;
}

/** Three servers, of which the balancer knows its default alone. */
async function three(options: PlaceOptions = {}): Promise<Three> {
  const [byDefault, node1, node2] = await Promise.all(
    ['default', 'node1', 'node2'].map(echoServer) as [Promise<EchoServer>, Promise<EchoServer>, Promise<EchoServer>],
  );
  const lb = await place({ default: byDefault.address, ...options });
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

const update = (lb: Place, ...servers: readonly EchoServer[]) =>
  lb.balancer.update(servers.map(({ address }) => ({ address })));
const addressesOf = (...servers: readonly EchoServer[]) => servers.map(({ address }) => address).sort();
const listed = (lb: Place) =>
  lb.balancer.state.servers
    .filter(({ isListed }) => isListed)
    .map(({ address }) => address)
    .sort();
const defaultOf = (lb: Place) => lb.balancer.state.servers.find(({ isDefault }) => isDefault)?.address;
const becomes = (lb: Place, server: EchoServer, state: string) =>
  expect.poll(() => lb.state(server.address), { timeout: 5000, interval: 5 }).toBe(state);
const decisions = (lb: Place) => lb.events().flatMap((event) => (event.type === 'lb.decision' ? [event] : []));

/** The list has one server, and its check goes well. */
async function preferred(lb: Place, server: EchoServer): Promise<void> {
  lb.verdicts.set(server.address, 'ok');
  update(lb, server);
  await becomes(lb, server, 'preferred');
}

/** A connection to node1, which has failed after it was opened. */
async function failing({ lb, node1 }: Three): Promise<Client> {
  await preferred(lb, node1);
  const client = lb.connect();
  expect(await client.ask('before')).toBe('node1:before');
  lb.verdicts.set(node1.address, 'failed');
  await becomes(lb, node1, 'failed');
  return client;
}

describe('from the default to a server of the list, and back', () => {
  test('[k3s 1] [k3s 2] one whose check is well becomes preferred, and has the next connection', async () => {
    await using world = await three();
    const { lb, node1 } = world;
    expect(await lb.connect().ask('1')).toBe('default:1');
    await preferred(lb, node1);
    expect(await lb.connect().ask('2')).toBe('node1:2');
    expect(lb.state(node1.address)).toBe('active');
  });

  test('[k3s 3] [k3s 4] when its check fails, its connection is closed, and the next one goes to the default', async () => {
    await using world = await three();
    const client = await failing(world);
    expect(await client.ended).not.toBe('');
    expect(await world.lb.connect().ask('2')).toBe('default:2');
  });

  test('[k3s 5] however often it fails again, the connection to the default goes on', async () => {
    await using world = await three();
    const { lb, node1 } = world;
    await failing(world);
    const client = lb.connect();
    expect(await client.ask('1')).toBe('default:1');
    const asked = () => lb.verdicts.asked.get(node1.address) ?? 0;
    const before = asked();
    await expect.poll(asked, { timeout: 5000 }).toBeGreaterThan(before + 20);
    expect(await client.ask('again')).toBe('default:again');
  });

  test.each(['failed', 'ok'] as const)(
    '[k3s 6] when it no longer listens, and its check says "%s", new connections go to the default',
    async (verdict) => {
      await using world = await three();
      const { lb, node1 } = world;
      if (verdict === 'failed') await failing(world);
      else await preferred(lb, node1);
      await node1.stop();
      expect(await lb.connect().ask('1')).toBe('default:1');
    },
  );

  test('[k3s 7] [k3s 8] [k3s 9] another list: its server is next, and the old connections to the default are closed', async () => {
    // With the time that they have by default.
    await using world = await three({ rules: { graces: defaultRules.graces } });
    const { lb, byDefault, node1, node2 } = world;
    const old = [lb.connect(), lb.connect()];
    for (const client of old) expect(await client.ask('1')).toBe('default:1');
    update(lb, node1);
    await preferred(lb, node2);
    expect(lb.state(node1.address)).toBe('-');
    const client = lb.connect();
    expect(await client.ask('2')).toBe('node2:2');
    await Promise.all(old.map(({ ended }) => ended));
    await expect.poll(() => byDefault.sockets.size, { timeout: 2000 }).toBe(0);
    expect(await client.ask('still')).toBe('node2:still');
  });
});

describe('the default', () => {
  test('[k3s 10] [k3s 11] as a member of the list climbs like any other, and is the default still', async () => {
    await using world = await three();
    const { lb, byDefault, node2 } = world;
    lb.verdicts.set(byDefault.address, 'ok');
    await preferred(lb, node2);
    expect(lb.state(byDefault.address), 'a check of the default alone makes nothing of it').toBe('standby');
    update(lb, byDefault, node2);
    expect(lb.state(byDefault.address)).toBe('unchecked');
    await becomes(lb, byDefault, 'preferred');
    expect(listed(lb)).toEqual(addressesOf(byDefault, node2));
    expect(defaultOf(lb)).toBe(byDefault.address);
  });

  test('[k3s 12] dropped from the list it is the default still, for when nothing else is left', async () => {
    await using world = await three();
    const { lb, byDefault, node2 } = world;
    lb.verdicts.set(byDefault.address, 'ok');
    lb.verdicts.set(node2.address, 'ok');
    update(lb, byDefault, node2);
    await becomes(lb, byDefault, 'preferred');
    await becomes(lb, node2, 'preferred');
    update(lb, node2);
    expect(listed(lb)).toEqual([node2.address]);
    expect([defaultOf(lb), lb.state(byDefault.address)]).toEqual([byDefault.address, 'standby']);
    await node2.stop();
    expect(await lb.connect().ask('1')).toBe('default:1');
  });

  test('[k3s 13] may be another one: the list stays, and the old one is gone', async () => {
    await using world = await three();
    const { lb, byDefault, node2 } = world;
    await preferred(lb, node2);
    lb.balancer.setDefault(node2.address);
    expect(listed(lb)).toEqual([node2.address]);
    expect([defaultOf(lb), lb.state(byDefault.address)]).toEqual([node2.address, '-']);
  });

  test('[k3s 14] may be set back, and be one of three in the list', async () => {
    await using world = await three();
    const { lb, byDefault, node1, node2 } = world;
    await preferred(lb, node2);
    lb.balancer.setDefault(node2.address);
    lb.balancer.setDefault(byDefault.address);
    lb.verdicts.set(byDefault.address, 'ok');
    update(lb, byDefault, node1, node2);
    await becomes(lb, byDefault, 'preferred');
    expect(listed(lb)).toEqual(addressesOf(byDefault, node1, node2));
    expect(defaultOf(lb)).toBe(byDefault.address);
  });

  test('[k3s 15] is none when it is the balancer itself: a connection fails at once', async () => {
    await using lb = await place({ rules: { ownAddresses: ['127.0.0.1:6444'] } });
    lb.balancer.setDefault('127.0.0.1:6444');
    expect(defaultOf(lb)).toBeUndefined();
    await lb.connect().ended;
    await expect.poll(() => decisions(lb)).toMatchObject([{ gaveUp: 'no server', attempts: [] }]);
  });
});

describe('servers that nobody reaches', () => {
  test('[k3s 16] an address that cannot be one: a connection fails within 10 ms', async () => {
    await using lb = await place();
    lb.balancer.update([{ address: '127.0.0.1:0' }]);
    await lb.connect().ended;
    await expect.poll(() => decisions(lb)).toMatchObject([{ gaveUp: 'no server', attempts: [] }]);
    // 10 ms there; a machine that is busy may take its time with the one turn that this is.
    expect(decisions(lb)[0]?.tookMs).toBeLessThan(500);
  });

  test('[k3s 17] one that swallows everything: a connection fails within 11 s', async () => {
    expect(defaultDialLimits.budgetMs).toBeLessThan(11_000);
    // TEST-NET-1 (RFC 5737): nobody answers, or the kernel knows no way there.
    await using lb = await place({
      servers: ['192.0.2.1:6443', '192.0.2.2:6443', '192.0.2.3:6443'],
      limits: { staggerMs: 50, attemptMs: 2000, budgetMs: 400 },
    });
    await lb.connect().ended;
    await expect.poll(() => decisions(lb)).toHaveLength(1);
    expect(['all servers failed', 'out of time']).toContain(decisions(lb)[0]?.gaveUp);
    expect(decisions(lb)[0]?.attempts).toHaveLength(3);
    expect(decisions(lb)[0]?.tookMs).toBeLessThan(1000);
  });

  test('[k3s 18] the only server is used although its check fails', async () => {
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

  test('[k3s 19] of several that failed, many dials at once do no harm', async () => {
    await using world = await three();
    const { lb, node1, node2, byDefault } = world;
    await Promise.all([node1.stop(), node2.stop(), byDefault.stop()]);
    update(lb, node1, node2);
    const clients = Array.from({ length: 50 }, () => lb.connect());
    await Promise.all(clients.map(({ ended }) => ended));
    await expect.poll(() => decisions(lb).filter(({ gaveUp }) => gaveUp === 'all servers failed')).toHaveLength(50);
    expect([lb.state(node1.address), lb.state(node2.address)]).toEqual(['failed', 'failed']);
    expect(lb.forwarder.counts().connections).toBe(0);
  });
});

describe('the table of them', () => {
  const root = path.resolve(import.meta.dirname, '../..');
  /** Names of tests, or of rows of `test.each`, that run: at the beginning of a line or of its text. */
  const name = /^\s*(?:(?:test|describe)(?:\.each)?\(\s*|\[)?\s*'(?<marks>(?:\[[^\]]+\] ?)+)/gm;
  const covered = ['test/balancer', 'test/app'].flatMap((folder) =>
    readdirSync(path.join(root, folder))
      .filter((file) => file.endsWith('.test.ts'))
      .flatMap((file) => [...readFileSync(path.join(root, folder, file), 'utf8').matchAll(name)])
      .flatMap(({ groups }) => [...(groups?.['marks'] ?? '').matchAll(/\[k3s (\d+)\]/g)])
      .map(([, number]) => Number(number)),
  );

  test('has every number once: with a test, or with the reason why not', () => {
    const [withTest, without] = [k3sBehaviours, k3sBehavioursWithout].map((table) => Object.keys(table).map(Number));
    expect([...(withTest ?? []), ...(without ?? [])]).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
    expect([...new Set(covered)].sort((a, b) => a - b)).toEqual(withTest);
  });
});
