import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  controllerLostForMs,
  lostAfterMs,
  readLeases,
  silentNodes,
} from '../../../src/cluster/node-lifecycle/judge-nodes.ts';
import {
  afterLook,
  longestGapMs,
  longestStillMs,
  nothingLooked,
  stillForMs,
  type LeaseHistory,
} from '../../../src/cluster/node-lifecycle/lease-history.ts';

const limits = { keepMs: 60_000, graceMs: 50_000 };
/** [second, revision] of each look. */
const looked = (...looks: readonly (readonly [number, number])[]): LeaseHistory =>
  looks.reduce(
    (history, [second, revision]) => afterLook(history, { revision, endedMs: second * 1000 }, limits),
    nothingLooked,
  );
const steady = [
  [0, 100],
  [10, 110],
  [20, 120],
  [30, 130],
  [40, 140],
] as const;

describe('for how long a Lease has stood still', () => {
  test.each([
    ['renewed before the first look', looked(...steady), 90, 40],
    ['renewed between two looks', looked(...steady), 115, 20],
    ['renewed just when one was made', looked(...steady), 120, 20],
    ['renewed since the last look', looked(...steady), 141, 0],
    ['that is not there', looked(...steady), 0, 40],
    ['before any look', nothingLooked, 7, 0],
    ['with a gap between two looks', looked([0, 100], [10, 110], [31, 120], [40, 130]), 90, 9],
    ['while nobody could write', looked([0, 100], [10, 100], [20, 100], [30, 100], [40, 110], [50, 120]), 90, 10],
    ['with a short pause of all writes', looked([0, 100], [10, 110], [20, 110], [30, 120]), 105, 20],
    ['of data that was set back', looked([0, 100], [10, 50], [20, 60]), 40, 10],
  ])('%s', (_, history, version, seconds) => {
    expect(stillForMs(history, version, history.lastMs)).toBe(seconds * 1000);
  });

  test.each([
    [300, 30],
    [50, 30],
    [45, 25],
    [37, 17],
    [20, 17],
    [1, 17],
  ])('with a grace of %i s nothing may be written for %i s', (graceSeconds, seconds) => {
    expect(longestStillMs(graceSeconds * 1000)).toBe(seconds * 1000);
    const after = (endedMs: number) =>
      [0, 10_000, endedMs].reduce(
        (history, atMs) =>
          afterLook(history, { revision: 1, endedMs: atMs }, { ...limits, graceMs: graceSeconds * 1000 }),
        nothingLooked,
      ).looks[0]?.endedMs;
    expect(after(17_000)).toBe(0);
    // Looks between which there is no gap.
    expect(after(29_000)).toBe(seconds >= 29 ? 0 : 29_000);
  });

  test('what nobody asks for any more is forgotten, and no more than that', () => {
    const many = Array.from({ length: 1000 }, (_, index) => [index * 10, index] as const);
    expect(looked(...many).looks.map(({ endedMs }) => endedMs / 1000)).toEqual([
      9930, 9940, 9950, 9960, 9970, 9980, 9990,
    ]);
  });

  test('it is never said to be longer than it is, and short by no more than the pause between looks', () => {
    const pauses = fc.array(fc.integer({ min: 1, max: longestGapMs }), { minLength: 2, maxLength: 40 });
    fc.assert(
      fc.property(pauses, fc.double({ min: 0, max: 1, noNaN: true }), (all, part) => {
        let nowMs = 0;
        let history = nothingLooked;
        const endsMs = all.map((pauseMs) => (nowMs += pauseMs));
        const renewedMs = Math.floor(part * nowMs);
        // Something is written in each millisecond: the revision is the time.
        for (const endedMs of endsMs)
          history = afterLook(history, { revision: endedMs, endedMs }, { ...limits, keepMs: Infinity });
        const stillMs = stillForMs(history, renewedMs, nowMs);
        const trueMs = nowMs - renewedMs;
        expect(stillMs).toBeLessThanOrEqual(trueMs);
        expect(stillMs).toBeGreaterThanOrEqual(trueMs - longestGapMs);
      }),
    );
  });
});

const answer = (revision: number, leases: readonly (readonly [name: string, version: number, seconds?: number])[]) =>
  readLeases({
    metadata: { resourceVersion: String(revision) },
    items: leases.map(([name, version, leaseDurationSeconds]) => ({
      metadata: { name, resourceVersion: String(version), labels: {} },
      spec: { holderIdentity: 'x', renewTime: '2026-01-01T00:00:00.000000Z', leaseDurationSeconds },
    })),
  });

describe('whether a controller-manager lives', () => {
  const history = looked(...steady);
  const name = 'kube-controller-manager';
  test.each([
    ['one that renews', answer(140, [[name, 139, 15]]), undefined],
    ['one that has not for less than the Lease and a takeover', answer(140, [[name, 115, 15]]), undefined],
    ['one that has not for longer', answer(140, [[name, 110, 15]]), 30_000],
    ['one with a Lease of its own length', answer(140, [[name, 110, 40]]), undefined],
    ['one that has given its Lease back', answer(140, [[name, 115, 1]]), 20_000],
    ['one whose Lease says no length', answer(140, [[name, 110]]), 30_000],
    ['none, and never was', answer(140, []), 40_000],
  ])('%s', (_, read, lostMs) => {
    expect(controllerLostForMs(history, read, 40_000)).toBe(lostMs);
  });

  test('nobody knows before it has looked for as long', () => {
    const read = answer(100, [[name, 1, 15]]);
    expect(controllerLostForMs(looked([0, 100]), read, 0)).toBeUndefined();
    expect(lostAfterMs(read)).toBe(25_000);
  });
});

test('nodes are silent when their Lease has stood still for longer than the grace', () => {
  const read = answer(141, [
    ['s1', 141, 40],
    ['s2', 125, 40],
    ['s3', 99, 40],
    ['a1', 110, 40],
  ]);
  expect(silentNodes(looked(...steady), read, { startedMs: 41_000, graceMs: 30_000 })).toEqual([
    { name: 's3', version: 99, silentMs: 41_000 },
    { name: 'a1', version: 110, silentMs: 31_000 },
  ]);
});

test.each([
  ['no list', {}],
  ['a version that is no number', { metadata: { resourceVersion: 'abc' }, items: [] }],
  ['a Lease without one', { metadata: { resourceVersion: '1' }, items: [{ metadata: { name: 'x' } }] }],
])('%s is no answer', (_, body) => {
  expect(() => readLeases(body)).toThrow();
});
