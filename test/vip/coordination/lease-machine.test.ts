import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { newLease, stepLease } from '../../../src/vip/coordination/lease-machine.ts';
import type { LeaseInput, LeaseMachine, LeaseRecord } from '../../../src/vip/coordination/lease-model.ts';
import {
  Driven,
  foreign,
  inputs,
  noConnection,
  outcome,
  rules,
  situations,
  timing,
  unanswered,
} from './lease-fixture.ts';

const golden = new URL('lease-transitions.golden.md', import.meta.url);

/** Every situation with every input: a cell is what becomes of it, "·" is nothing. */
function tableText(): string {
  const blocks = [...situations.keys()].map((situation) => {
    const rows = Object.keys(inputs)
      .map((input) => [input, outcome(situation, input)] as const)
      .filter(([, result]) => result !== '·');
    return [
      `## ${situation}`,
      '',
      '| input | becomes |',
      '|---|---|',
      ...rows.map((row) => `| ${row.join(' | ')} |`),
      '',
    ];
  });
  return ['# The Lease machine: what is not written here changes nothing', '', ...blocks.flat()].join('\n');
}

describe('[V8] the Lease machine', () => {
  test('does over all situations and inputs what the committed table says', async () => {
    if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(golden, tableText());
    expect(tableText()).toBe(await readFile(golden, 'utf8'));
  });

  test.each([...situations.keys()])(
    '"%s" is never allowed to act for longer than a confirmed write said',
    (situation) => {
      for (const input of Object.keys(inputs)) {
        const match = /allow until (\d+)/.exec(outcome(situation, input));
        if (match === null) continue;
        const driven = situations.get(situation)?.();
        const latestSentMs = driven?.machine.state.id === 'released' ? driven.nowMs : 1000;
        expect(Number(match[1])).toBeLessThanOrEqual(latestSentMs + timing.leaseDurationMs - timing.marginMs);
      }
    },
  );

  test('counts the deadline from before the write was sent, however late its answer is', () => {
    const driven = new Driven().give({ type: 'want' }).give({ type: 'read', call: 1, record: undefined });
    driven.at(900).written();
    expect(driven.effects).toContainEqual(expect.objectContaining({ type: 'allow', deadlineMs: 4500 }));
  });

  test('takes over a Lease only when it has not changed for as long as its holder promised', () => {
    const driven = new Driven().give({ type: 'want' }).give({ type: 'read', call: 1, record: foreign });
    expect(driven.effects).toEqual([]);
    driven.at(3000).give({ type: 'wake' });
    driven.give({ type: 'read', call: driven.call, record: { ...foreign, version: 'v-renewed' } });
    // It was renewed meanwhile: its time begins anew.
    driven.at(3000 + foreign.durationMs).give({ type: 'wake' });
    driven.give({ type: 'read', call: driven.call, record: { ...foreign, version: 'v-renewed' } });
    expect(driven.machine.state.id).toBe('released');
    expect(driven.effects).toEqual([]);
    driven.at(3000 + foreign.durationMs + timing.graceMs).give({ type: 'wake' });
    driven.give({ type: 'read', call: driven.call, record: { ...foreign, version: 'v-renewed' } });
    expect(driven.lastWrite.draft).toMatchObject({ holder: 'a-1', version: 'v-renewed', transitions: 8 });
  });

  test('takes that of its own dead instance at once', () => {
    const driven = new Driven().give({ type: 'want' });
    driven.give({ type: 'read', call: 1, record: { ...foreign, holder: 'a-0' } });
    expect(driven.lastWrite.draft).toMatchObject({ holder: 'a-1', version: 'v-foreign' });
  });

  test('retries within the budget, and withdraws before its deadline when nothing helps', () => {
    const driven = situations.get('renewing')?.() ?? new Driven();
    const triedAtMs: number[] = [];
    const isLost = () => driven.machine.state.id === 'lost';
    while (!isLost()) {
      triedAtMs.push(driven.nowMs);
      // Each call hangs for its whole limit.
      const call = driven.effects.find((effect) => effect.type === 'write' || effect.type === 'read');
      if (call !== undefined && 'limitMs' in call) {
        expect(driven.nowMs + call.limitMs).toBeLessThanOrEqual(4000);
        driven.at(driven.nowMs + call.limitMs).failed(unanswered);
      }
      if (!isLost()) driven.at(driven.wakeAtMs ?? 0).give({ type: 'wake' });
    }
    expect(triedAtMs.length).toBeGreaterThanOrEqual(3);
    expect(driven.nowMs).toBeLessThanOrEqual(4500 - timing.withdrawMs);
    expect(driven.effects).toContainEqual(expect.objectContaining({ type: 'withdraw' }));
    // Not given back before everything is withdrawn.
    expect(driven.all.some((effect) => effect.type === 'write' && effect.draft.holder === '')).toBe(false);
    driven.give({ type: 'withdrawn', tenure: 1 });
    expect(driven.lastWrite.draft.holder).toBe('');
  });

  test('asks for a Lease that is not its own twice in each length of it, however long the API is away', () => {
    const driven = new Driven().give({ type: 'want' });
    const pausesMs: number[] = [];
    for (let attempt = 0; attempt < 20; attempt += 1) {
      const failedAtMs = driven.nowMs;
      driven.failed(noConnection);
      pausesMs.push((driven.wakeAtMs ?? Infinity) - failedAtMs);
      driven.at(driven.wakeAtMs ?? 0).give({ type: 'wake' });
    }
    expect(pausesMs[0]).toBeLessThan(timing.leaseDurationMs / 20);
    expect(Math.max(...pausesMs)).toBeGreaterThan(10 * (pausesMs[0] ?? Infinity));
    expect(Math.max(...pausesMs)).toBeLessThanOrEqual(timing.leaseDurationMs / 2);
  });

  test('finds by its nonce that a write without an answer has happened', () => {
    const driven = situations.get('doubtful, reading')?.() ?? new Driven();
    const committed = driven.record({ version: 'v9' });
    driven.give({ type: 'read', call: driven.call, record: committed });
    // It was sent at 1000.
    expect(driven.effects).toContainEqual(expect.objectContaining({ type: 'allow', deadlineMs: 5500 }));
    expect(driven.machine.state.id).toBe('renewing');
    expect(driven.lastWrite.draft.version).toBe('v9');
  });

  test('says what is to be said at once, and what comes during a write right after it', () => {
    const driven = situations.get('held')?.() ?? new Driven();
    driven.give({ type: 'publish', notes: { acked: '1' } });
    expect(driven.lastWrite.draft.notes).toEqual({ acked: '1' });
    driven.give({ type: 'publish', notes: { acked: '2' } });
    driven.written();
    driven.at(driven.wakeAtMs ?? 0).give({ type: 'wake' });
    expect(driven.nowMs).toBeLessThan(100);
    expect(driven.lastWrite.draft.notes).toEqual({ acked: '2' });
  });

  test('says how much traffic there is with the next renewal, and asks for nothing more', () => {
    const driven = situations.get('held')?.() ?? new Driven();
    const before = driven.wakeAtMs;
    const writes = () => driven.effects.filter(({ type }) => type === 'write').length;
    driven.give({ type: 'publish', notes: { load: '10.0.0.1=7' } });
    expect([writes(), driven.wakeAtMs]).toEqual([0, before]);
    driven.at(before ?? 0).give({ type: 'wake' });
    expect(driven.lastWrite.draft.notes).toEqual({ load: '10.0.0.1=7' });
    const sentAtMs = driven.nowMs;
    driven.give({ type: 'publish', notes: { load: '10.0.0.1=8' } });
    driven.written();
    expect((driven.wakeAtMs ?? 0) - sentAtMs).toBeGreaterThan(100);
  });

  test('is idle after a stop, when it was withdrawn and given back', () => {
    const driven = situations.get('held')?.() ?? new Driven();
    driven.give({ type: 'stop' }).give({ type: 'withdrawn', tenure: 1 }).failed(noConnection);
    expect(driven.effects).toContainEqual({ type: 'idle' });
    expect(driven.wakeAtMs).toBeUndefined();
  });
});

/** When it first asks for a Lease that it wants at 1000, of which a watch has shown this at 200. */
function asksAt(seen: LeaseRecord | undefined, yieldMs: number, showsAtMs?: number): number {
  const others = { ...rules, isWatched: true, yieldMs: () => yieldMs };
  const step = (machine: LeaseMachine, input: LeaseInput, nowMs: number) =>
    stepLease(machine, input, others, { nowMs, bootMs: nowMs, random: () => 0.5 });
  let { machine } = step(newLease, { type: 'seen', record: seen }, 200);
  let next = step(machine, { type: 'want' }, 1000);
  if (showsAtMs !== undefined) {
    const record = { ...released, holder: 'c-1', version: '9' };
    next = step(next.machine, { type: 'seen', record }, showsAtMs);
  }
  for (let nowMs = 1000; ;) {
    ({ machine } = next);
    if (next.effects.some(({ type }) => type === 'read')) return nowMs;
    nowMs = next.wakeAtMs ?? Infinity;
    next = step(machine, { type: 'wake' }, nowMs);
  }
}

const released: LeaseRecord = {
  version: '1',
  uid: 'u',
  holder: '',
  durationMs: 5000,
  transitions: 0,
  nonce: '',
  notes: {},
};

test.each<readonly [number, string, LeaseRecord | undefined, number]>([
  [1000, 'that nobody holds, when it is the first', released, 0],
  [1150, 'that has been free since 200, when others go first for 950', released, 950],
  [1000, 'that has been free for longer than others go first', released, 100],
  [1000, 'that there is not, when it is the first', undefined, 0],
  [5220, 'that another one holds, when it is over', { ...released, holder: 'b-1' }, 0],
  [5320, 'that another one holds, when it is over and others went first', { ...released, holder: 'b-1' }, 100],
  [1000, 'that was its own, at once', { ...released, holder: 'a-0' }, 950],
])('asks at %i for a Lease %s', (atMs, _what, seen, yieldMs) => {
  expect(asksAt(seen, yieldMs)).toBe(atMs);
});

test('does not ask for a Lease that somebody who goes first has got meanwhile', () => {
  expect(asksAt(released, 950, 1100)).toBe(1100 + 5000 + timing.graceMs + 950);
});
