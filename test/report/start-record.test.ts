import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Envelope } from '../../src/event/event.ts';
import { emptyModel, fold } from '../../src/report/model.ts';
import { blame, criticalChain, durationsMs, startRecordOf, startRecordSchema } from '../../src/report/start-record.ts';
import {
  latestDurationsMs,
  readRecord,
  recordFiles,
  startRecorder,
  writeRecord,
} from '../../src/report/start-store.ts';
import { envelopes, epochMs, goodStart, moment, portConflict, snapshot, state, upStarted } from './facts.ts';

function recordOf(all: readonly Envelope[], endMs: number) {
  const model = emptyModel();
  for (const envelope of all) fold(model, envelope);
  return startRecordOf(model, endMs);
}

/** etcd comes up; kube-apiserver never does. */
const badStart = (): Envelope[] => {
  const { etcd } = portConflict();
  return [
    ...goodStart().filter(({ monotonicMs }) => monotonicMs <= 402),
    ...envelopes([
      900,
      state('kube-apiserver', 'starting', snapshot('kube-apiserver', 'backoff', { lastError: etcd, restarts: 2 })),
    ]),
  ];
};

describe('the record of a start', () => {
  test('[S8] keeps the time a unit took itself apart from the time it waited', () => {
    const record = recordOf(goodStart(), 3500);
    expect(record).toMatchObject({ version: 1, startedAtMs: epochMs, ready: true, totalMs: 3500 });
    expect(record.units).toMatchObject([
      { name: 'etcd', waitingMs: 0, spawnedAtMs: 2, readyAtMs: 400, selfMs: 400 },
      { name: 'kube-apiserver', waitingMs: 400, spawnedAtMs: 402, readyAtMs: 3000, selfMs: 2600, openedBy: 'etcd' },
      { name: 'kubelet', waitingMs: 3000, readyAtMs: 3500, selfMs: 500, openedBy: 'kube-apiserver' },
    ]);
  });

  test('[S8] the critical chain leads from the first unit to the one that was ready last', () => {
    const chain = criticalChain(recordOf(goodStart(), 3500));
    expect(chain.map(({ unit, selfMs }) => [unit, selfMs])).toEqual([
      ['etcd', 400],
      ['kube-apiserver', 2600],
      ['kubelet', 500],
    ]);
    expect(chain.reduce((sum, { selfMs }) => sum + selfMs, 0)).toBe(3500);
  });

  test('[S8] of one that the next needs `until: started`, what went by before the next began counts', () => {
    const record = recordOf(goodStart(), 3500);
    const times: Readonly<Record<string, object>> = {
      'kube-apiserver': { readyAtMs: 3400, selfMs: 3000 },
      kubelet: { gatesOpenAtMs: 402, selfMs: 3098 },
    };
    const units = record.units.map((unit) => ({ ...unit, ...times[unit.name] }));
    const chain = criticalChain({ ...record, units });
    expect(chain.map(({ unit, selfMs, overlaps }) => [unit, selfMs, overlaps])).toEqual([
      ['etcd', 400, false],
      ['kube-apiserver', 2, true],
      ['kubelet', 3098, false],
    ]);
  });

  test('blame orders by self time; what was never ready stands first, with its error', () => {
    expect(blame(recordOf(goodStart(), 3500)).map(({ unit }) => unit)).toEqual(['kube-apiserver', 'kubelet', 'etcd']);
    const record = recordOf(badStart(), 5000);
    expect(record.ready).toBe(false);
    expect(blame(record)).toMatchObject([
      { unit: 'kube-apiserver', restarts: 2, error: expect.stringContaining('address already in use') as string },
      { unit: 'kubelet' },
      { unit: 'etcd', selfMs: 400 },
    ]);
    expect(blame(record)[0]).not.toHaveProperty('selfMs');
  });

  test('durations are there for units that were ready', () => {
    expect([...durationsMs(recordOf(badStart(), 5000))]).toEqual([['etcd', 400]]);
  });

  test('a unit whose gate closes and opens again before it is ready counts from the last opening', () => {
    const again = { type: 'unit.gate', unit: 'kube-apiserver', dependency: 'etcd', kind: 'hard', last: true } as const;
    const all = goodStart().filter(({ monotonicMs }) => monotonicMs <= 400);
    const ready = snapshot('kube-apiserver', 'ready', { since: moment(3000) });
    const record = recordOf(
      [...all, ...envelopes([2000, again], [3000, state('kube-apiserver', 'starting', ready)])],
      3000,
    );
    expect(record.units[1]).toMatchObject({ waitingMs: 2000, selfMs: 1000 });
  });

  test('a chain in a damaged record that leads in a circle ends', () => {
    const record = recordOf(goodStart(), 3500);
    const units = record.units.map((unit) => (unit.name === 'etcd' ? { ...unit, openedBy: 'kubelet' } : unit));
    expect(criticalChain({ ...record, units })).toHaveLength(3);
  });
});

describe('records as files', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(path.join(tmpdir(), 'k3s-lite-starts-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  test('[S8] one is written when everything is ready, once, and can be read again', () => {
    const recorder = startRecorder({ dir });
    for (const envelope of goodStart()) recorder.onEvent(envelope);
    recorder.onEvent({ seq: 99, ...moment(9000), event: { type: 'up.ready', elapsedMs: 9000 } });
    recorder.onEvent({ seq: 100, ...moment(9001), event: { type: 'down.started', reason: 'SIGINT' } });
    const [file = '', ...others] = recordFiles(dir);
    expect(others).toEqual([]);
    expect(path.basename(file)).toBe('2026-01-01T00-00-00.000Z.json');
    expect(readRecord(file)).toMatchObject({ ready: true, totalMs: 3500 });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(dir)).toHaveLength(1);
    expect([...latestDurationsMs(dir).keys()]).toEqual(['etcd', 'kube-apiserver', 'kubelet']);
  });

  test('a start that is given up is recorded too, and does not serve as a measure', () => {
    const recorder = startRecorder({ dir });
    for (const envelope of badStart()) recorder.onEvent(envelope);
    expect(recordFiles(dir)).toEqual([]);
    recorder.onEvent({ seq: 99, ...moment(5000), event: { type: 'down.started', reason: 'SIGINT' } });
    expect(readRecord(recordFiles(dir)[0] ?? '')).toMatchObject({ ready: false, totalMs: 5000 });
    expect(latestDurationsMs(dir).size).toBe(0);
  });

  test('the last 20 are kept, newest first', () => {
    const record = recordOf(goodStart(), 3500);
    for (let number = 0; number < 25; number += 1)
      writeRecord(dir, { ...record, startedAtMs: epochMs + number * 1000 });
    const files = recordFiles(dir);
    expect(files).toHaveLength(20);
    expect(readRecord(files[0] ?? '')?.startedAtMs).toBe(epochMs + 24_000);
    expect(readRecord(files.at(-1) ?? '')?.startedAtMs).toBe(epochMs + 5000);
  });

  test('a folder that is not there, a broken file and a foreign one do no harm', () => {
    expect(recordFiles(path.join(dir, 'none'))).toEqual([]);
    expect(latestDurationsMs(path.join(dir, 'none')).size).toBe(0);
    writeFileSync(path.join(dir, '2026-02-01T00-00-00.000Z.json'), '{"version":1');
    writeFileSync(path.join(dir, 'notes.json'), '{}');
    writeRecord(dir, recordOf(goodStart(), 3500));
    expect(latestDurationsMs(dir).size).toBe(3);
    expect(recordFiles(dir)).toHaveLength(2);
  });

  test('a record that cannot be written is told and disturbs nothing', () => {
    const errors: unknown[] = [];
    writeFileSync(path.join(dir, 'file'), '');
    const recorder = startRecorder({ dir: path.join(dir, 'file'), onError: (error) => errors.push(error) });
    for (const envelope of goodStart()) recorder.onEvent(envelope);
    expect(errors).toHaveLength(1);
  });

  test('the file is what the schema says', () => {
    const file = writeRecord(dir, recordOf(badStart(), 5000));
    expect(startRecordSchema().parse(JSON.parse(readFileSync(file, 'utf8'))).units).toHaveLength(3);
  });
});

test('the totals of an up that was never begun are zero', () => {
  expect(startRecordOf(emptyModel(), 5)).toMatchObject({ ready: false, totalMs: 0, units: [] });
  expect(criticalChain(startRecordOf(emptyModel(), 5))).toEqual([]);
  expect(upStarted.type).toBe('up.started');
});
