import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import * as z from 'zod';
import { dnsMemberBuiltins } from '../../src/cluster/dns-membership.ts';
import { layoutOf } from '../../src/cluster/layout.ts';
import type { KubeClient } from '../../src/cluster/kube-client.ts';
import { systemClock, type Clock } from '../../src/kernel/clock.ts';
import type { BuiltinContext } from '../../src/unit/builtin.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { settingsIn, temporaryFolder } from './settings-kit.ts';

const applied = z.looseObject({ kind: z.string(), metadata: z.looseObject({ name: z.string() }) });
const endpointsOf = z.object({ endpoints: z.array(z.object({ conditions: z.object({ ready: z.boolean() }) })) });

/** s2, with an API that holds the slices of these servers: whether each is asked. `kube-dns-host` is s1's, as a rule. */
function server(
  slices: Readonly<Record<string, boolean>>,
  options: { clock?: Clock; dnsPort?: number; first?: string; isJoining?: boolean } = {},
) {
  const { clock = systemClock, dnsPort = 5353, first = 's1', isJoining = true } = options;
  const nodeOf = (name: string) => (name === 'kube-dns-host' ? first : name.replace('kube-dns-', ''));
  const writes: string[] = [];
  const lines: string[] = [];
  const state = { isAway: false, onRead: (): void => undefined };
  const items = new Map(
    Object.entries(slices).map(([name, ready]) => [
      name,
      {
        metadata: { name, resourceVersion: '1', labels: {} },
        addressType: 'IPv4',
        endpoints: [{ addresses: ['192.0.2.1'], nodeName: nodeOf(name), conditions: { ready } }],
        ports: [],
      },
    ]),
  );
  /** By its own look, which has found the mark. */
  const takeOut = (name: string) => {
    for (const endpoint of items.get(name)?.endpoints ?? []) endpoint.conditions.ready = false;
  };
  const client = {
    get: () => {
      if (state.isAway) return Promise.reject(new Error('connect ECONNREFUSED'));
      const answer = structuredClone({ items: [...items.values(), 'what nobody can read'] });
      state.onRead();
      return Promise.resolve(answer);
    },
    apply: (_: string, body: object) => {
      const { kind, metadata } = applied.parse(body);
      const { data } = endpointsOf.safeParse(body);
      const ready = data?.endpoints[0]?.conditions.ready;
      if (ready !== undefined) writes.push(`${metadata.name} ${ready ? 'in' : 'out'}`);
      else if (kind === 'Lease') writes.push(`${metadata.name} renewed`);
      return Promise.resolve({});
    },
    delete: (path: string) => {
      writes.push(`${path.split('/').at(-1) ?? ''} deleted`);
      return Promise.resolve();
    },
    [Symbol.dispose]: () => undefined,
  };
  const settings = { ...settingsIn(temporaryFolder()), nodeName: 's2', isJoining, dnsPort };
  const builtins = dnsMemberBuiltins(settings, () => Promise.resolve(client as unknown as KubeClient), clock);
  const context = { signal: new AbortController().signal, log: (line: string) => lines.push(line) };
  const run = (name: keyof typeof builtins) => builtins[name](context as unknown as BuiltinContext);
  const hasMark = () => existsSync(layoutOf(settings).dnsLeaving);
  return { run, writes, lines, state, hasMark, takeOut };
}

test.each([
  ['a new one is not asked before it answers', { 'kube-dns-host': true }, 'kube-dns-s2 out'],
  ['one that was not asked is not, either', { 'kube-dns-host': true, 'kube-dns-s2': false }, 'kube-dns-s2 out'],
  ['one that was stays', { 'kube-dns-host': true, 'kube-dns-s2': true }, 'kube-dns-s2 in'],
])('the objects of a server that starts: %s', async (_, slices, written) => {
  const { run, writes } = server(slices);
  await run('cluster-dns-objects');
  expect(writes).toContain(written);
});

test.each([
  [
    'is told to join others',
    true,
    { 'kube-dns-host': true, 'kube-dns-s3': true },
    ['kube-dns-s2 in', 'kube-dns-host deleted'],
  ],
  ['was not asked then', true, { 'kube-dns-host': false }, ['kube-dns-s2 out', 'kube-dns-host deleted']],
  [
    'has both since',
    true,
    { 'kube-dns-host': true, 'kube-dns-s2': false },
    ['kube-dns-s2 in', 'kube-dns-host deleted'],
  ],
  ['joins nobody any more', false, { 'kube-dns-s2': true }, ['kube-dns-host in', 'kube-dns-s2 deleted']],
])('a first server that %s has one slice', async (_, isJoining, slices, written) => {
  const { run, writes } = server(slices, { first: 's2', isJoining });
  await run('cluster-dns-objects');
  expect(writes).toEqual(written);
});

/** Answers every question with the address that is expected. */
async function dnsServer(): Promise<number> {
  const socket = createSocket('udp4');
  onTestFinished(() => void socket.close());
  socket.on('message', (question, { port, address }) => {
    const header = Buffer.from(question.subarray(0, 12));
    header.writeUInt16BE(0x8180, 2); // a response without error
    header.writeUInt16BE(1, 6); // one answer
    header.writeUInt16BE(0, 10); // nothing additional
    const end = question.indexOf(0, 12) + 5;
    const record = Buffer.from([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 43, 0, 1]);
    socket.send(Buffer.concat([header, question.subarray(12, end), record]), port, address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket.address().port;
}

test.each([
  [
    'beside others its Lease is renewed first: by the old one it would be taken out again',
    { 'kube-dns-host': true, 'kube-dns-s2': false },
    ['k3s-lite-dns-s2 renewed', 'kube-dns-s2 in'],
  ],
  ['alone it needs no Lease', { 'kube-dns-s2': false }, ['kube-dns-s2 in']],
  ['one that is asked already says nothing', { 'kube-dns-host': true, 'kube-dns-s2': true }, []],
])('a server whose DNS answers is asked; %s', async (_, slices, written) => {
  const { run, writes } = server(slices, { dnsPort: await dnsServer() });
  await run('cluster-dns');
  expect(writes).toEqual(written);
});

test('an API that is away keeps no server from starting: whoever looks after cluster DNS puts it in', async () => {
  const { run, writes, lines, state } = server({ 'kube-dns-s2': false }, { dnsPort: await dnsServer() });
  state.isAway = true;
  await run('cluster-dns');
  expect(writes).toEqual([]);
  expect(lines.at(-1)).toBe('cannot say whether cluster DNS is asked here: connect ECONNREFUSED');
});

test('a server that stops is asked no more, and goes on answering until the others know', async () => {
  const clock = fakeClock();
  const { run, writes, lines } = server({ 'kube-dns-host': true, 'kube-dns-s2': true }, { clock });
  let isOver = false;
  const left = run('leave-cluster-dns').then(() => (isOver = true));
  await expect.poll(() => lines).toEqual(['cluster DNS is not asked here any more']);
  await clock.advance(900);
  expect(writes).toEqual(['k3s-lite-dns-s2 renewed', 'kube-dns-s2 out']);
  expect(isOver).toBe(false);
  await clock.advance(200);
  await left;
  expect(clock.pendingTimers).toBe(0);
});

test('a server that its own look has taken out first goes on answering until the others know, too', async () => {
  const clock = fakeClock();
  const { run, writes, state, takeOut } = server({ 'kube-dns-host': true, 'kube-dns-s2': true }, { clock });
  state.onRead = () => takeOut('kube-dns-s2');
  let isOver = false;
  const left = run('leave-cluster-dns').then(() => (isOver = true));
  await expect.poll(() => clock.nextTimerInMs).toBe(1000);
  await clock.advance(900);
  expect(isOver).toBe(false);
  await clock.advance(200);
  await left;
  expect(writes).toEqual([]);
});

test('a server that stops is marked as leaving until its DNS answers again, whether the API is there or not', async () => {
  const dnsPort = await dnsServer();
  const { run, hasMark, state } = server({ 'kube-dns-host': true, 'kube-dns-s2': false }, { dnsPort });
  await run('leave-cluster-dns');
  expect(hasMark()).toBe(true);
  await run('cluster-dns-objects');
  expect(hasMark()).toBe(true);
  state.isAway = true;
  await run('cluster-dns');
  expect(hasMark()).toBe(false);
  await run('leave-cluster-dns');
  expect(hasMark()).toBe(true);
});

test.each([
  ['that is the last one which is asked', { 'kube-dns-host': false, 'kube-dns-s2': true }],
  ['that is not asked', { 'kube-dns-host': true, 'kube-dns-s2': false }],
  ['whose slice is gone', { 'kube-dns-host': true }],
])('a server %s stops without a word', async (_, slices) => {
  const { run, writes } = server(slices, { clock: fakeClock() });
  await run('leave-cluster-dns');
  expect(writes).toEqual([]);
});

test('an API that is away lets no stop fail', async () => {
  const { run, lines, state } = server({ 'kube-dns-host': true, 'kube-dns-s2': true }, { clock: fakeClock() });
  state.isAway = true;
  await run('leave-cluster-dns');
  expect(lines).toEqual(['cannot say whether cluster DNS is asked here: connect ECONNREFUSED']);
});
