import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { pathsOf, type Paths } from '../../src/app/paths.ts';
import type { CommandRun } from '../../src/cli/command.ts';
import { run as analyze } from '../../src/cli/commands/analyze.ts';
import { run as down } from '../../src/cli/commands/down.ts';
import { run as logs } from '../../src/cli/commands/logs.ts';
import { run as status } from '../../src/cli/commands/status.ts';
import { run as why } from '../../src/cli/commands/why.ts';
import { createControlServer } from '../../src/control/server.ts';
import { emptyModel, fold } from '../../src/report/model.ts';
import { startRecordOf } from '../../src/report/start-record.ts';
import { writeRecord } from '../../src/report/start-store.ts';
import { capturedIo } from '../kit/captured-io.ts';
import { goodStart, moment, portConflict, snapshot, state } from '../report/facts.ts';
import { fakeSource, temporaryFolder } from './fake-source.ts';

let folder: ReturnType<typeof temporaryFolder>;
let paths: Paths;
beforeEach(() => {
  folder = temporaryFolder();
  const uid = process.getuid?.() ?? 0;
  paths = pathsOf({ dataDir: path.join(folder.dir, 'data'), env: envOf(), uid });
});
afterEach(() => {
  rmSync(paths.runDir, { recursive: true, force: true });
  folder[Symbol.dispose]();
});

/** Nothing of this machine's configuration. */
const envOf = () => ({
  HOME: folder.dir,
  XDG_RUNTIME_DIR: folder.dir,
  K3S_LITE_CONFIG: path.join(folder.dir, 'config.yaml'),
});

async function call(
  run: CommandRun,
  args: readonly string[],
  options: Record<string, unknown> = {},
  signal?: AbortSignal,
) {
  writeFileSync(path.join(folder.dir, 'config.yaml'), '');
  const { io, out, err } = capturedIo();
  const code = await run({
    args,
    options: { dataDir: paths.dataDir, ...options },
    io,
    env: envOf(),
    cwd: folder.dir,
    signal: signal ?? new AbortController().signal,
  });
  return { code, out: out(), err: err() };
}

const serve = (fake: ReturnType<typeof fakeSource>) =>
  createControlServer({ socketPath: paths.controlSocket, source: fake.source });

/** What changes from run to run: times, pids, versions. */
const masked = (text: string) =>
  text
    .replaceAll(folder.dir, 'DIR')
    .replace(/pid \d+/g, 'pid N')
    .replace(/\d+(?:\.\d+)? (?:ms|s)\b|\d+ m \d+ s|\d+ h \d+ m/g, 'TIME')
    .replace(/ +/g, ' ');

describe('status', () => {
  test('[S8] is a table of every unit, and exits with 4 until everything is ready', async () => {
    const { etcd, apiserver } = portConflict();
    const fake = fakeSource('kube-apiserver -> hard etcd', paths.dataDir);
    await using _server = await serve(fake);
    fake.set(snapshot('etcd', 'failed', { lastError: etcd, restarts: 4, nextRetryAt: moment(0) }));
    fake.set(snapshot('kube-apiserver', 'blocked', { lastError: apiserver }));
    const failing = await call(status, []);
    expect(failing.code).toBe(4);
    const root = 'etcd exited with code 1: bind: address already in use (2379 is held by pid N etcd)';
    expect(masked(failing.out).split('\n')).toEqual([
      'k3s-lite 1.2.3, pid N, up for TIME, data in DIR/data',
      'not ready: 0 of 2 units',
      '',
      'UNIT STATE FOR PID RESTARTS DETAIL',
      `etcd failed TIME 4 ${root}; next try in TIME`,
      `kube-apiserver blocked TIME by etcd: ${root}`,
      '',
    ]);
    fake.set(snapshot('etcd', 'ready', { pid: 5 }));
    fake.set(snapshot('kube-apiserver', 'ready', { degraded: [{ unit: 'dns', kind: 'soft', reason: 'failed' }] }));
    const good = await call(status, []);
    expect(good.code).toBe(0);
    expect(good.out).toContain('without dns (failed)');
    const { out } = await call(status, [], { json: true });
    expect(JSON.parse(out)).toMatchObject({ ready: true, units: [{ unit: 'etcd', pid: 5 }, {}] });
  });

  test('fails with ERR_CONTROL when nothing runs', async () => {
    await expect(call(status, [])).rejects.toMatchObject({ code: 'ERR_CONTROL', exitCode: 4 });
  });
});

test('[S8] why prints the tree, and JSON on request', async () => {
  const fake = fakeSource('kube-apiserver -> hard etcd', paths.dataDir);
  await using _server = await serve(fake);
  fake.set(snapshot('etcd', 'ready', { pid: 7 }));
  expect(masked((await call(why, ['etcd'])).out)).toBe('etcd is ready, for TIME, pid N\n');
  expect(JSON.parse((await call(why, ['etcd'], { json: true })).out)).toMatchObject({
    tree: { unit: 'etcd' },
    roots: [],
  });
  await expect(call(why, ['etdc'])).rejects.toMatchObject({ code: 'ERR_UNKNOWN_UNIT' });
});

describe('logs', () => {
  test('come from the running k3s-lite', async () => {
    const fake = fakeSource('etcd', paths.dataDir);
    await using _server = await serve(fake);
    for (const line of ['a', 'b', 'c']) fake.logOf('etcd').write(line);
    expect((await call(logs, ['etcd'], { lines: '2' })).out).toBe('b\nc\n');
    await expect(call(logs, ['etcd'], { lines: 'many' })).rejects.toMatchObject({ code: 'ERR_USAGE' });
  });

  test('with --follow go on until an interrupt', async () => {
    const fake = fakeSource('etcd', paths.dataDir);
    await using _server = await serve(fake);
    const interrupt = new AbortController();
    const following = call(logs, ['etcd'], { follow: true }, interrupt.signal);
    await expect.poll(() => fake.logOf('etcd').followers.size).toBe(1);
    const reason = new Error('interrupted');
    interrupt.abort(reason);
    await expect(following).rejects.toBe(reason);
    await expect.poll(() => fake.logOf('etcd').followers.size).toBe(0);
  });

  test('come from the file, and its older copy, when nothing runs', async () => {
    mkdirSync(paths.logDir, { recursive: true });
    writeFileSync(path.join(paths.logDir, 'etcd.log.1'), 'one\ntwo\n');
    writeFileSync(path.join(paths.logDir, 'etcd.log'), 'three\nfour\n');
    expect((await call(logs, ['etcd'])).out).toBe('one\ntwo\nthree\nfour\n');
    expect((await call(logs, ['etcd'], { lines: '3' })).out).toBe('two\nthree\nfour\n');
    const followed = await call(logs, ['etcd'], { lines: '1', follow: true });
    expect([followed.code, followed.out]).toEqual([0, 'four\n']);
    expect(followed.err).toContain('nothing to follow');
    await expect(call(logs, ['etdc'])).rejects.toMatchObject({ code: 'ERR_UNKNOWN_UNIT', detail: { nearest: 'etcd' } });
    await expect(call(logs, ['../data/logs/etcd'])).rejects.toMatchObject({ code: 'ERR_UNKNOWN_UNIT' });
  });
});

describe('down', () => {
  test('says that nothing runs, which is what was wished for: exit 0', async () => {
    const { code, out } = await call(down, []);
    expect([code, masked(out)]).toEqual([0, 'nothing runs for DIR/data\n']);
  });

  /** A program that stops as soon as it is asked to. */
  async function stopping(leftovers: readonly string[], options: Record<string, unknown> = {}) {
    const fake = fakeSource('etcd', paths.dataDir);
    // Its pid must be that of a process that ends: one that is gone already.
    const facts = fake.source.facts();
    fake.source.facts = () => ({ ...facts, pid: 2 ** 22 + 1 });
    const server = await serve(fake);
    fake.hooks.onDown = () => {
      fake.events.emit({ type: 'down.started', reason: 'down was asked for' });
      fake.events.emit(state('etcd', 'stopping', snapshot('etcd', 'stopped', { desired: 'down' })));
      fake.events.emit({ type: 'down.finished', elapsedMs: 120, leftovers });
      setImmediate(() => void server.close());
    };
    const result = await call(down, [], options);
    await server.close();
    return { ...result, downs: fake.downs };
  }

  test('follows the stop to its end', async () => {
    const { code, out, downs } = await stopping([]);
    expect([code, masked(out).trimEnd().split('\n')]).toEqual([
      0,
      ['stopping', 'etcd stopped', 'everything is stopped (TIME)'],
    ]);
    expect(downs).toEqual([{ hurry: false }]);
  });

  test('exits with 1 and says what could not be cleared', async () => {
    const { code, out, downs } = await stopping(['etcd: pid 8 is alive'], { hurry: true });
    expect(code).toBe(1);
    expect(out).toContain('could not be cleared:\n  etcd: pid 8 is alive\n');
    expect(downs).toEqual([{ hurry: true }]);
  });

  test('with --json prints the events', async () => {
    const { out } = await stopping([], { json: true });
    const types = out
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { event: { type: string } }).event.type);
    expect(types).toEqual(['down.started', 'unit.state', 'down.finished']);
  });

  test('a k3s-lite that dies on the way is an error', async () => {
    const fake = fakeSource('etcd', paths.dataDir);
    const facts = fake.source.facts();
    fake.source.facts = () => ({ ...facts, pid: 2 ** 22 + 1 });
    const server = await serve(fake);
    fake.hooks.onDown = () => void setImmediate(() => void server.close());
    await expect(call(down, [])).rejects.toMatchObject({ code: 'ERR_CONTROL' });
  });
});

describe('analyze', () => {
  beforeEach(() => {
    const model = emptyModel();
    for (const envelope of goodStart()) fold(model, envelope);
    const record = startRecordOf(model, 3500);
    writeRecord(paths.startsDir, { ...record, startedAtMs: record.startedAtMs - 60_000, totalMs: 4000 });
    writeRecord(paths.startsDir, { ...record, totalMs: 3510 });
  });

  test('[S8] blame: the time each unit took itself, beside the time it waited', async () => {
    expect((await call(analyze, ['blame'])).out.split('\n')).toEqual([
      'start of 2026-01-01T00:00:00.000Z: ready in 3.5 s',
      '  SELF  WAITED  UNIT',
      ' 2.6 s  0.40 s  kube-apiserver',
      '0.50 s   3.0 s  kubelet',
      '0.40 s    0 ms  etcd',
      '',
    ]);
  });

  test('[S8] critical-chain: the units that decided how long it took', async () => {
    expect((await call(analyze, ['critical-chain'])).out.split('\n')).toEqual([
      'start of 2026-01-01T00:00:00.000Z: ready in 3.5 s',
      'etcd              0.40 s  +0 ms to +0.40 s',
      'kube-apiserver     2.6 s  +0.40 s to +3.0 s',
      'kubelet           0.50 s  +3.0 s to +3.5 s',
      'between them: 10 ms',
      '',
    ]);
  });

  test('an earlier start by its number, JSON, and what cannot be asked for', async () => {
    expect((await call(analyze, ['blame'], { start: '2' })).out).toContain('ready in 4.0 s');
    const { out } = await call(analyze, ['critical-chain'], { json: true });
    expect(JSON.parse(out)).toMatchObject({ ready: true, 'critical-chain': [{ unit: 'etcd', selfMs: 400 }, {}, {}] });
    await expect(call(analyze, ['blme'])).rejects.toThrow('did you mean "blame"?');
    await expect(call(analyze, ['blame'], { start: '3' })).rejects.toThrow('there are 2');
    await expect(call(analyze, ['blame'], { start: '0' })).rejects.toMatchObject({ code: 'ERR_USAGE' });
  });

  test('[S8] diff: the latest start against those before, or one against another', async () => {
    expect((await call(analyze, ['diff'])).out.split('\n')).toEqual([
      'start of 2026-01-01T00:00:00.000Z: ready in 3.5 s',
      '-0.49 s against an earlier start (4.0 s)',
      'BEFORE     NOW  CHANGE  UNIT',
      '0.40 s  0.40 s   +0 ms  etcd            same',
      ' 2.6 s   2.6 s   +0 ms  kube-apiserver  same',
      '0.50 s  0.50 s   +0 ms  kubelet         same',
      '',
    ]);
    const { out } = await call(analyze, ['diff', '2', '1'], { json: true });
    expect(JSON.parse(out)).toMatchObject({ against: 1, beforeMs: 3510, nowMs: 4000 });
    await expect(call(analyze, ['diff', '2'])).rejects.toThrow('no earlier start that became ready');
    await expect(call(analyze, ['diff', 'x'])).rejects.toThrow('A is "x", but must be latest, 1, 2…');
    await expect(call(analyze, ['blame', '2'])).rejects.toThrow('analyze blame --start 2');
  });

  test('[S8] plot is an SVG, trace is JSON of trace events', async () => {
    expect((await call(analyze, ['plot'])).out).toMatch(/^<svg [^]*<\/svg>\n$/);
    expect(JSON.parse((await call(analyze, ['trace'])).out)).toMatchObject({ displayTimeUnit: 'ms' });
  });

  test('a folder of records is plain JSON that other programs can read', () => {
    const file = path.join(paths.startsDir, '2026-01-01T00-00-00.000Z.json');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ version: 1, ready: true });
  });
});
