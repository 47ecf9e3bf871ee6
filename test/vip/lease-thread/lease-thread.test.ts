/** Both sides of the Lease's thread, with a message channel between them that can be held up: a main thread that is stuck. */
import { expect, test } from 'vitest';
import type { KernelNetwork } from '../../../src/vip/actuate/kernel-network.ts';
import type { LeaseDraft, LeaseRecord, LeaseRules } from '../../../src/vip/coordination/lease-model.ts';
import { classify } from '../../../src/vip/coordination/error-class.ts';
import { leaseThreadClient, looksUntilMissed } from '../../../src/vip/lease-thread/lease-thread-client.ts';
import { looksInVain, serveLeaseThread } from '../../../src/vip/lease-thread/serve-lease-thread.ts';
import { checkTiming } from '../../../src/vip/coordination/timing.ts';
import type { WantedGate } from '../../../src/vip/actuate/gate.ts';
import { fakeClock } from '../../kit/fake-clock.ts';

const checked = checkTiming({ leaseDurationMs: 3000, renewDeadlineMs: 1500, retryPeriodMs: 1000 });
if (!checked.ok) throw new Error('the times of the test are wrong');
const timing = checked.value;
const rules: LeaseRules = {
  lease: 'vip-node-a',
  identity: 'a/1',
  ownEarlier: new Set(),
  timing,
  isWatched: false,
  coolDownMs: 0,
};
const wish: Omit<WantedGate, 'deadlineMs'> = {
  guarded: ['10.0.0.1'],
  open: [{ address: '10.0.0.1', interface: 'eth0' }],
  interfaces: [{ name: 'eth0', index: 2 }],
};

function threads() {
  const clock = fakeClock();
  const told: string[] = [];
  const scripts: string[] = [];
  const api = { isThere: true, isRefusing: false, writes: 0, record: undefined as LeaseRecord | undefined };
  const kernel = {
    changeGate(script: string) {
      if (script.includes('refused')) return Promise.reject(new Error('nft refuses it'));
      scripts.push(script);
      return Promise.resolve();
    },
  } as Partial<KernelNetwork> as KernelNetwork;
  const hangs = new Promise<never>(() => undefined);
  const refused = { ok: false, verdict: classify({ kind: 'timeout', afterMs: 1 }) } as const;
  /** Neither are the main thread's messages sent, nor are those to it taken. */
  let isStuck = false;
  /** The same of the thread. */
  let isHanging = false;
  const missing: string[] = [];
  const missed: unknown[] = [];
  const across = (message: unknown, take: (message: unknown) => void) =>
    void clock.soon(() => take(structuredClone(message)));
  const thread = serveLeaseThread({
    lease: {
      api: {
        readLease: () => {
          if (api.isRefusing) return Promise.resolve(refused);
          return api.isThere ? Promise.resolve({ ok: true, value: api.record }) : hangs;
        },
        writeLease(_name: string, draft: LeaseDraft) {
          if (api.isRefusing) return Promise.resolve(refused);
          if (!api.isThere) return hangs;
          api.writes += 1;
          api.record = { ...draft, version: String(api.writes), uid: 'u' };
          return Promise.resolve({ ok: true, value: api.record });
        },
      },
      clock,
      bootMs: () => clock.monotonicMs(),
      random: () => 0.5,
    },
    kernel,
    post(message) {
      if (!isHanging) across(message, (each) => (isStuck ? missed.push(each) : client.take(each)));
    },
  });
  const client = leaseThreadClient({
    post: (message) => {
      if (!isStuck && !isHanging) across(message, (each) => thread.take(each));
    },
    clock,
    onMissed: ({ message }) => missing.push(message),
  });
  const own = client.holdOwn({
    rules,
    onAllow: ({ tenure }) => told.push(`allow ${String(tenure)}`),
    onWithdraw: ({ tenure, reason }) => told.push(`withdraw ${String(tenure)}: ${reason}`),
    onEvent: (event) => told.push(event.type),
  });
  const armedMs = () => Number(/eth0" timeout (\d+)ms/.exec(scripts.at(-1) ?? '')?.[1] ?? 0);
  return {
    clock,
    told,
    api,
    own,
    armedMs,
    gate: client.gate(() => wish),
    refusing: client.gate(() => ({ ...wish, interfaces: [{ name: 'refused', index: 3 }] })),
    missing,
    hang: () => (isHanging = true),
    stick: () => (isStuck = true),
    moveOn() {
      isStuck = false;
      for (const message of missed.splice(0)) client.take(message);
    },
    [Symbol.dispose]() {
      thread[Symbol.dispose]();
      client[Symbol.dispose]();
    },
  };
}

/** It holds its Lease, and its main thread is stuck. */
async function stuck() {
  const both = threads();
  both.own.want();
  await both.clock.advance(10);
  await both.clock.run(both.gate.write());
  both.stick();
  return both;
}

test('the Lease is held and the switch armed, and what the main thread wishes opens until the deadline and no longer', async () => {
  using both = threads();
  const { clock, gate, own, armedMs, told } = both;
  await clock.run(gate.begin());
  expect(armedMs()).toBe(0);
  own.want();
  await clock.advance(10);
  expect(own.view).toMatchObject({ isOurs: true });
  await clock.run(gate.write());
  expect(armedMs()).toBeGreaterThan(timing.leaseDurationMs - timing.marginMs - 50);
  await clock.advance(1000);
  // By the renewal, with nobody having asked for it.
  expect(armedMs()).toBeGreaterThan(timing.leaseDurationMs - timing.marginMs - 50);
  expect(told.filter((each) => each.startsWith('withdraw'))).toEqual([]);
});

test('[V9] a main thread that is stuck for longer than a Lease loses nothing', async () => {
  using both = await stuck();
  const { clock, own, armedMs, told, api } = both;
  const writes = api.writes;
  await clock.advance(4 * timing.leaseDurationMs);
  expect(api.writes).toBeGreaterThanOrEqual(writes + 11);
  expect(api.record?.holder).toBe('a/1');
  expect(armedMs()).toBeGreaterThan(timing.leaseDurationMs / 2);
  both.moveOn();
  await clock.settle();
  expect(own.view.isOurs).toBe(true);
  expect(told.filter((each) => each.startsWith('withdraw'))).toEqual([]);
});

test('[V9] [V10] one that stays stuck is given up: the switch opens, and the Lease runs out', async () => {
  using both = await stuck();
  const { clock, own, armedMs, told, api } = both;
  await clock.advance((looksInVain + 1) * 1000);
  expect(armedMs()).toBe(0);
  const { writes } = api;
  await clock.advance(5000);
  expect(api.writes).toBe(writes);
  // It has not said that all is withdrawn: nobody else may think so.
  expect(api.record?.holder).toBe('a/1');
  both.moveOn();
  await clock.settle();
  expect(told.at(-1)).toContain('withdraw 1: its process is stuck');
  own.withdrawn(1);
  await clock.advance(10);
  expect(told).toContain('allow 2');
});

test('[V9] [V10] a Lease that comes to one that is stuck already is given up too', async () => {
  using both = threads();
  const { clock, own, told, api } = both;
  api.isRefusing = true;
  own.want();
  await clock.advance(10);
  both.stick();
  await clock.advance((looksInVain + 2) * 1000);
  expect(api.writes).toBe(0);
  api.isRefusing = false;
  await clock.advance(8000);
  const { writes } = api;
  expect(writes).toBeGreaterThan(0);
  await clock.advance(5 * timing.retryPeriodMs);
  expect(api.writes).toBe(writes);
  both.moveOn();
  await clock.settle();
  expect(told.at(-1)).toContain('withdraw 1: its process is stuck');
});

test('[V9] an API that hangs opens the switch before the Lease is over, whatever the main thread does', async () => {
  using both = threads();
  const { clock, gate, own, armedMs, api } = both;
  own.want();
  await clock.advance(10);
  await clock.run(gate.write());
  both.stick();
  api.isThere = false;
  await clock.advance(timing.leaseDurationMs - timing.marginMs);
  expect(armedMs()).toBe(0);
});

test('[V9] a thread that hangs is missed, and said so once', async () => {
  using both = threads();
  const { clock, own, missing } = both;
  own.want();
  await clock.advance(20_000);
  expect(missing).toEqual([]);
  both.hang();
  await clock.advance((looksUntilMissed - 1) * 1000);
  expect(missing).toEqual([]);
  await clock.advance(20_000);
  expect(missing).toEqual([expect.stringContaining('hangs')]);
});

test('one that is slow to begin is given the time for it, and not for ever', async () => {
  using both = threads();
  both.hang();
  await both.clock.advance(20_000);
  expect(both.missing).toEqual([]);
  await both.clock.advance(20_000);
  expect(both.missing).toHaveLength(1);
});

test('[V9] a main thread that was stuck does not miss a thread that runs', async () => {
  using both = await stuck();
  await both.clock.advance(4000);
  both.moveOn();
  await both.clock.advance(4000);
  expect(both.missing).toEqual([]);
});

test('a gate that the kernel refuses is told to whoever wished it', async () => {
  using both = threads();
  const { clock, refusing } = both;
  await expect(clock.run(refusing.write())).rejects.toMatchObject({
    code: 'ERR_VIP_KERNEL',
    message: 'nft refuses it',
  });
});

test('[V9] a kernel that goes on refusing the gate costs the Lease: others need not wait for who cannot answer', async () => {
  using both = threads();
  const { clock, own, gate, refusing, told } = both;
  own.want();
  await clock.advance(10);
  await clock.run(gate.write());
  await expect(clock.run(refusing.write())).rejects.toThrow();
  // A moment's.
  await clock.run(gate.write());
  await clock.advance(5000);
  expect(told.filter((each) => each.startsWith('withdraw'))).toEqual([]);
  await expect(clock.run(refusing.write())).rejects.toThrow();
  await clock.advance(4000);
  expect(told).toContain('withdraw 1: the kernel’s gate cannot be written');
});
