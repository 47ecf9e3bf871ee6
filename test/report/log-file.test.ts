import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { oneLine } from '../../src/error/render.ts';
import { createEventStream } from '../../src/event/stream.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { openLogFile } from '../../src/report/log-file.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { portConflict, snapshot, state } from './facts.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'k3s-lite-log-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const linesOf = (file: string) =>
  readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('every event is a line of JSON with the time of the event, also those from before the log was opened', async () => {
  const events = createEventStream({ clock: systemClock });
  events.emit({ type: 'notice', level: 'info', text: 'early' });
  const log = await openLogFile({ events, clock: systemClock, logDir: path.join(dir, 'logs') });
  events.emit({ type: 'notice', level: 'warning', text: 'late' });
  await log.close();
  expect(linesOf(log.file)).toMatchObject([
    { level: 'info', seq: 1, type: 'notice', msg: 'early', time: expect.stringMatching(/Z$/) as string },
    { level: 'warn', seq: 2, msg: 'late' },
  ]);
  expect(statSync(log.file).mode & 0o777).toBe(0o600);
});

test('[S4] a failure is logged with its code, its detail and its whole chain', async () => {
  const events = createEventStream({ clock: systemClock });
  const { apiserver, etcd } = portConflict();
  await using log = await openLogFile({ events, clock: systemClock, logDir: dir });
  events.emit({ type: 'unit.failed', unit: 'kube-apiserver', error: apiserver });
  events.emit(state('etcd', 'starting', snapshot('etcd', 'backoff', { lastError: etcd })));
  await log.close();
  expect(linesOf(log.file)).toMatchObject([
    {
      level: 'error',
      unit: 'kube-apiserver',
      msg: oneLine(apiserver),
      err: { code: 'ERR_BLOCKED', component: 'kube-apiserver', cause: { code: 'ERR_EXITED', exit: { code: 1 } } },
    },
    {
      level: 'warn',
      snapshot: {
        lastError: { code: 'ERR_EXITED', message: etcd.message, lastLogLines: etcd.detail.lastLogLines },
      },
    },
  ]);
});

test('secrets of command lines are not written, and passed health checks only at debug', async () => {
  const events = createEventStream({ clock: systemClock });
  const health = {
    type: 'probe.attempt',
    unit: 'db',
    generation: 1,
    phase: 'health',
    check: 'tcp',
    count: 1,
  } as const;
  await using log = await openLogFile({ events, clock: systemClock, logDir: dir });
  events.emit({ type: 'process.spawned', unit: 'db', generation: 1, pid: 3, argv: ['db', '--token=abc'] });
  events.emit({ ...health, attempt: { at: 0, ms: 1, outcome: 'ok' } });
  events.emit({ ...health, attempt: { at: 0, ms: 1, outcome: 'refused' } });
  await log.close();
  const lines = linesOf(log.file);
  expect(lines).toHaveLength(2);
  expect(lines[0]).toMatchObject({ argv: ['db', '--token=***'] });
  expect(lines[1]).toMatchObject({ attempt: { outcome: 'refused' } });
});

test('a log that cannot be opened is told once and disturbs nothing', async () => {
  const events = createEventStream({ clock: systemClock });
  writeFileSync(path.join(dir, 'file'), '');
  const errors: Error[] = [];
  const log = await openLogFile({
    events,
    clock: systemClock,
    logDir: path.join(dir, 'file'),
    onError: (error) => errors.push(error),
  });
  events.emit({ type: 'notice', level: 'info', text: 'unheard' });
  await log.close();
  expect(errors).toHaveLength(1);
});

test('a log that could not be written goes on where it ended, and nothing is missing', async () => {
  const clock = fakeClock();
  const events = createEventStream({ clock });
  const folder = path.join(dir, 'file');
  writeFileSync(folder, '');
  const errors: Error[] = [];
  const log = await openLogFile({ events, clock, logDir: folder, onError: (error) => errors.push(error) });
  events.emit({ type: 'notice', level: 'info', text: 'one' });
  await clock.advance(5000);
  rmSync(folder);
  events.emit({ type: 'notice', level: 'info', text: 'two' });
  await clock.advance(1000);
  await log.close();
  expect(errors).toHaveLength(1);
  expect(linesOf(log.file)).toMatchObject([{ msg: 'one' }, { msg: 'two' }]);
});

test('a log that has grown large is put aside, and no line is lost', async () => {
  const events = createEventStream({ clock: systemClock });
  const log = await openLogFile({ events, clock: systemClock, logDir: dir, limits: { maxBytes: 20_000, maxFiles: 4 } });
  const lines = 300;
  for (let number = 1; number <= lines; number += 1) {
    events.emit({ type: 'notice', level: 'info', text: `line ${String(number)} ${'x'.repeat(100)}` });
    if (number % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await log.close();
  // The newest may not have been opened again: nothing was left to write.
  const files = readdirSync(dir).sort();
  expect(files).toEqual(expect.arrayContaining(['k3s-lite.log.1', 'k3s-lite.log.2']));
  expect(files.length).toBeLessThanOrEqual(4);
  for (const name of files) expect(statSync(path.join(dir, name)).mode & 0o777).toBe(0o600);
  const seqs = [...files].reverse().flatMap((name) => linesOf(path.join(dir, name)).map(({ seq }) => Number(seq)));
  // The oldest files are gone; what is left has no gap and ends with the last line.
  expect(seqs).toEqual(seqs.map((_, index) => lines - seqs.length + 1 + index));
  expect(seqs.length).toBeGreaterThan(100);
});
