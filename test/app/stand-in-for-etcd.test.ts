/** When somebody stands in for etcd: the states of two units, a real socket. */
import { once } from 'node:events';
import { connect } from 'node:net';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { standInForEtcd } from '../../src/app/stand-in-for-etcd.ts';
import { latch, type WritableLatch } from '../../src/kernel/latch.ts';
import type { UnitStateName } from '../../src/unit/state.ts';
import { temporaryFolder } from '../cluster-room/settings-kit.ts';
import { fakeClock } from '../kit/fake-clock.ts';

interface Told {
  readonly state: UnitStateName;
  readonly desired: 'up';
  readonly generation: number;
}
const told = (state: UnitStateName, generation = 1): Told => ({ state, desired: 'up', generation });

function running({
  servers,
  units = ['etcd', 'kube-apiserver'],
}: { servers?: string; units?: readonly string[] } = {}) {
  const socketPath = path.join(temporaryFolder(), 'etcd.sock');
  const etcd = latch(told('inactive'));
  const apiServer = latch(told('inactive'));
  const clock = fakeClock();
  const restarted: string[] = [];
  const flags = { 'etcd-servers': servers ?? `unix://${socketPath}` };
  const notices: string[] = [];
  const standIn = standInForEtcd({
    socketPath,
    executor: {
      graph: { has: (unit: string) => units.includes(unit), unit: () => ({ flags }) } as never,
      unit: (unit) => (unit === 'etcd' ? etcd : apiServer) as never,
      restartUnits(names) {
        restarted.push(...names);
        return { units: [] };
      },
    },
    clock,
    notice: (text) => notices.push(text),
  });
  onTestFinished(() => standIn[Symbol.dispose]());
  /** What becomes of who connects now. */
  const met = async () => {
    const socket = connect(socketPath);
    onTestFinished(() => void socket.destroy());
    return once(socket, 'connect').then(
      () => ({ end: new Promise<number>((resolve) => socket.resume().once('close', () => resolve(socket.bytesRead))) }),
      (error: unknown) => (error as NodeJS.ErrnoException).code,
    );
  };
  const pass = (unit: WritableLatch<Told>, ...states: UnitStateName[]) => {
    for (const state of states) unit.set(told(state));
  };
  return { etcd, apiServer, met, pass, notices, standIn, clock, restarted };
}

const up: readonly UnitStateName[] = ['waiting', 'starting', 'ready'];
const refused = /ENOENT|ECONNREFUSED/;

test('between two runs of etcd who connects waits, over as many as it takes, until it is ready', async () => {
  const { etcd, apiServer, met, pass, notices } = running();
  pass(etcd, ...up);
  pass(apiServer, ...up);
  expect(await met()).toMatch(refused);
  pass(etcd, 'stopping');
  expect(await met()).toMatch(refused);
  pass(etcd, 'backoff');
  const first = await met();
  pass(etcd, 'waiting', 'starting', 'stopping', 'failed');
  const second = await met();
  pass(etcd, ...up);
  expect(first).toHaveProperty('end');
  expect(second).toHaveProperty('end');
  for (const one of [first, second]) expect(await (one as { end: Promise<number> }).end).toBeGreaterThan(0);
  expect(await met()).toMatch(refused);
  expect(notices).toEqual([]);
});

test('an API server that ends has nobody wait for it, and for none anybody stands in', async () => {
  const { etcd, apiServer, met, pass } = running();
  pass(etcd, ...up);
  pass(apiServer, ...up, 'unhealthy');
  pass(etcd, 'backoff');
  const waits = await met();
  pass(apiServer, 'stopping');
  expect(await (waits as { end: Promise<number> }).end).toBe(0);
  pass(etcd, 'starting', 'failed');
  expect(await met()).toMatch(refused);
});

test.each([
  ['the API server reaches etcd by TLS', { servers: 'https://127.0.0.1:2379' }],
  ['etcd runs on other machines', { units: ['kube-apiserver'] }],
])('nobody stands in where %s', async (_where, options) => {
  const { etcd, apiServer, met, pass } = running(options);
  pass(etcd, ...up);
  pass(apiServer, ...up);
  pass(etcd, 'backoff');
  expect(await met()).toMatch(refused);
});

test('it ends with k3s-lite', async () => {
  const { etcd, apiServer, met, pass, standIn } = running();
  pass(apiServer, ...up);
  pass(etcd, 'failed');
  const waits = await met();
  standIn[Symbol.dispose]();
  expect(await (waits as { end: Promise<number> }).end).toBe(0);
  pass(etcd, 'backoff');
  expect(await met()).toMatch(refused);
});

test('an API server that has tried for minutes to reach an etcd that was starting is restarted, once, and why is said', async () => {
  const { etcd, apiServer, pass, notices, clock, restarted } = running();
  pass(etcd, ...up);
  pass(apiServer, ...up);
  pass(etcd, 'backoff', 'waiting', 'starting');
  await clock.advance(150_000);
  pass(etcd, 'ready');
  expect(restarted, 'not while the units are being told').toEqual([]);
  await clock.settle();
  expect(restarted).toEqual(['kube-apiserver']);
  expect(notices).toEqual([expect.stringMatching(/^etcd was starting for 2 m 30 s: kube-apiserver is restarted, /)]);
  pass(etcd, 'unhealthy', 'ready');
  await clock.settle();
  expect(restarted).toHaveLength(1);
});

test('an API server of which that is known only later, for it was adopted, is restarted likewise', async () => {
  const { etcd, apiServer, pass, clock, restarted } = running();
  pass(etcd, 'starting');
  pass(apiServer, 'starting', 'ready');
  await clock.advance(150_000);
  pass(etcd, 'ready');
  await clock.settle();
  expect(restarted).toEqual(['kube-apiserver']);
});

test('one that is started because etcd is ready, which is told here afterwards, is not restarted', async () => {
  const { etcd, apiServer, pass, clock, restarted } = running();
  pass(etcd, 'starting');
  pass(apiServer, 'waiting');
  await clock.advance(150_000);
  pass(apiServer, 'starting');
  pass(etcd, 'ready');
  await clock.settle();
  expect(restarted).toEqual([]);
});

test('none is restarted that reaches etcd otherwise, or when k3s-lite ends', async () => {
  for (const servers of ['https://127.0.0.1:2379', undefined]) {
    const { etcd, apiServer, pass, clock, restarted, standIn } = running(servers === undefined ? {} : { servers });
    pass(apiServer, ...up);
    pass(etcd, 'starting');
    await clock.advance(150_000);
    pass(etcd, 'ready');
    if (servers === undefined) standIn[Symbol.dispose]();
    await clock.settle();
    expect(restarted).toEqual([]);
  }
});
