/** log, exec, file, all and any: the checks that need no server. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, expectTypeOf, test } from 'vitest';
import type { Exit } from '../../src/error/readiness-error.ts';
import { allOf, anyOf } from '../../src/probe/compose.ts';
import { createProbe } from '../../src/probe/create-probe.ts';
import type { LogLines } from '../../src/probe/log.ts';
import { ProbeFailure, type Probe } from '../../src/probe/probe.ts';
import { validateProbeSpec, type ProbeRecipe } from '../../src/probe/probe-spec.ts';
import { untilReady } from '../../src/probe/until-ready.ts';
import type { ProbeSpec } from '../../src/unit/probe-schema.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { contextOf, failed, failureOf, openHandles, passes, patience, temporaryFolder } from './probe-fixture.ts';

function fakeLog(...written: string[]) {
  const listeners = new Set<(line: string) => void>();
  const log: LogLines = {
    follow(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    last: (count) => written.slice(-count),
  };
  return {
    log,
    listeners,
    write(line: string) {
      written.push(line);
      for (const listener of listeners) listener(line);
    },
  };
}

test('[S5] a log check is woken by the line that matches, and by no other', async () => {
  const clock = fakeClock();
  const { log, write, listeners } = fakeLog('starting');
  const hints: string[] = [];
  const probe = createProbe({ log: 'ready to (serve|accept)' }, contextOf({ log }));
  const outcome = untilReady(patience(probe, { clock, onHint: (source) => hints.push(source) }));
  await clock.advance(3);
  write('not ready yet');
  await clock.settle();
  expect(hints).toEqual([]);
  write('ready to serve client requests');
  await clock.settle();
  expect((await outcome).elapsedMs).toBe(3);
  expect([hints, listeners.size]).toEqual([['log'], 0]);
});

test('a line that was written before the check began counts, followed or not', async () => {
  const { log } = fakeLog('ready to serve', ...Array<string>(500).fill('noise'));
  const probe = createProbe({ log: '^ready' }, contextOf({ log }));
  await passes(probe);
  const clock = fakeClock();
  await expect(
    untilReady(patience(createProbe({ log: '^ready' }, contextOf({ log })), { clock })),
  ).resolves.toMatchObject({
    attempts: 1,
  });
  expect(await failureOf(createProbe({ log: 'never' }, contextOf({ log })))).toBe('no line has matched yet');
});

test('a line that is long enough to be slow is matched only at its beginning', async () => {
  const { log } = fakeLog(`${'a'.repeat(100_000)} ready`, `ready ${'a'.repeat(100_000)}`);
  await passes(createProbe({ log: '^ready' }, contextOf({ log })));
  expect(await failureOf(createProbe({ log: 'a ready$' }, contextOf({ log })))).toBe('no line has matched yet');
});

const exiting = (exit: Exit, output = '') => contextOf({ runToEnd: () => Promise.resolve({ exit, output }) });
const pgIsReady: ProbeRecipe = { exec: ['/usr/bin/pg_isready', '-q'] };

test('an exec check passes when its program exits with 0, else it says how and with which last words', async () => {
  await passes(createProbe(pgIsReady, exiting({ kind: 'code', code: 0 })));
  expect(
    await failureOf(createProbe(pgIsReady, exiting({ kind: 'code', code: 2 }, 'trying\n/tmp:5432 - no response\n'))),
  ).toBe('exited with code 2: /tmp:5432 - no response');
  expect(await failureOf(createProbe(pgIsReady, exiting({ kind: 'signal', signal: 'SIGKILL' })))).toBe(
    'was ended by SIGKILL',
  );
  expect(createProbe(pgIsReady, contextOf()).describe()).toBe('exec pg_isready');
});

test('an exec check whose program is missing says so with a hint', async () => {
  const runToEnd = () => Promise.reject(Object.assign(new Error('spawn pg_isready ENOENT'), { code: 'ENOENT' }));
  const failure = await failed(createProbe(pgIsReady, contextOf({ runToEnd })));
  expect([failure.message, failure.hint]).toEqual([
    'ENOENT',
    '/usr/bin/pg_isready was not found: is it installed, and on PATH?',
  ]);
});

test('an exec check hands its signal on and runs at most 20 times a second', async () => {
  const clock = fakeClock();
  let runs = 0;
  const signals: AbortSignal[] = [];
  const runToEnd = (_argv: readonly string[], signal: AbortSignal) => {
    runs += 1;
    signals.push(signal);
    return Promise.resolve({ exit: { kind: 'code', code: 1 } as const, output: '' });
  };
  const probe = createProbe({ exec: ['false'] }, contextOf({ runToEnd }));
  const outcome = untilReady(patience(probe, { clock, deadline: () => 2_000, random: () => 0.5 }));
  await expect(clock.run(outcome)).rejects.toThrow('exec false: exited with code 1');
  expect(runs).toBeLessThan(50);
  expect(signals[0]).toBeInstanceOf(AbortSignal);
});

test('a file check is woken when the file appears, and also sees one in a folder that did not exist', async () => {
  using folder = temporaryFolder();
  const before = openHandles();
  const path = join(folder.path, 'made', 'later.conf');
  expect(await failureOf(createProbe({ file: path }, contextOf()))).toBe('does not exist yet');
  const late = untilReady(patience(createProbe({ file: path }, contextOf())));
  mkdirSync(join(folder.path, 'made'));
  writeFileSync(path, '');
  await late;
  rmSync(path);

  const sources: string[] = [];
  // A clock that stands still: nothing but the hint can wake it.
  const clock = fakeClock();
  const woken = untilReady(
    patience(createProbe({ file: path }, contextOf()), { clock, onHint: (source) => sources.push(source) }),
  );
  await clock.settle();
  writeFileSync(path, '');
  await woken;
  expect(sources[0]).toBe('file');
  await expect.poll(openHandles).toBeLessThanOrEqual(before);
});

/** A check that is steered by the test. */
function steered(name: string, state: { ok: boolean; retry?: boolean; hint?: string }) {
  let wake: ((source: string) => void) | undefined;
  const probe: Probe = {
    describe: () => name,
    check: () =>
      state.ok
        ? Promise.resolve()
        : Promise.reject(new ProbeFailure('ECONNREFUSED', { retry: state.retry ?? true, hint: state.hint })),
    onHint(callback) {
      wake = callback;
      return { [Symbol.dispose]: () => (wake = undefined) };
    },
  };
  return { probe, state, wake: () => wake?.(name), isHeard: () => wake !== undefined };
}

test('all passes when every check passes, and says which one is missing', async () => {
  const notify = steered('notify', { ok: true });
  const tcp = steered('tcp :2379', { ok: false, hint: 'is it running?' });
  const both = allOf([notify.probe, tcp.probe]);
  expect(both.describe()).toBe('all(notify, tcp :2379)');
  const failure = await failed(both);
  expect(failure.message).toBe('all(notify ✓, tcp :2379 ✗ ECONNREFUSED)');
  expect([failure.hint, (failure.cause as Error).message]).toEqual(['is it running?', 'ECONNREFUSED']);
  tcp.state.ok = true;
  await passes(both);
});

test('any passes when one check passes, and says what each lacks', async () => {
  const one = steered('notify', { ok: false });
  const two = steered('tcp :2379', { ok: false });
  const either = anyOf([one.probe, two.probe]);
  expect(await failureOf(either)).toBe('any(notify ✗ ECONNREFUSED, tcp :2379 ✗ ECONNREFUSED)');
  two.state.ok = true;
  await passes(either);
});

test('any ends the checks that are still running when one has passed', async () => {
  let aborted = false;
  const endless: Probe = {
    describe: () => 'exec slow',
    check: (signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener(
          'abort',
          () => {
            aborted = true;
            reject(signal.reason as Error);
          },
          { once: true },
        );
      }),
  };
  await passes(anyOf([endless, steered('tcp', { ok: true }).probe]));
  expect(aborted).toBe(true);
});

test('the hints of all parts wake a composed check, and none is left', async () => {
  const clock = fakeClock();
  const one = steered('one', { ok: true });
  const two = steered('two', { ok: false });
  const outcome = untilReady(patience(allOf([one.probe, two.probe]), { clock }));
  await clock.advance(1);
  two.state.ok = true;
  two.wake();
  await expect(outcome).resolves.toMatchObject({ attempts: 2, elapsedMs: 1 });
  expect([one.isHeard(), two.isHeard()]).toEqual([false, false]);
});

test('a final failure ends `all`; `any` goes on while another part may pass', async () => {
  const final = steered('one', { ok: false, retry: false });
  const open = steered('two', { ok: false });
  expect((await failed(allOf([final.probe, open.probe]))).retry).toBe(false);
  expect((await failed(anyOf([final.probe, open.probe]))).retry).toBe(true);
  expect((await failed(anyOf([final.probe, final.probe]))).retry).toBe(false);
});

test('a composed check keeps the slower rhythm of its parts, and none at all when all are driven by events', () => {
  const paced = (pace?: Probe['pace']): Probe => ({
    ...{ describe: () => 'x', check: () => Promise.resolve() },
    ...(pace === undefined ? {} : { pace }),
  });
  const event = paced({ kind: 'event' });
  const quick = paced({ kind: 'eager', capMs: 5, forMs: 5_000, lateShare: 0.01 });
  const dear = paced({ kind: 'eager', capMs: 50, forMs: 1_000, restRatio: 4 });
  expect(allOf([event, event]).pace).toEqual({ kind: 'event' });
  expect(allOf([event, quick, dear]).pace).toEqual({
    ...{ kind: 'eager', capMs: 50, forMs: 1_000, restRatio: 4 },
    lateShare: 0.01,
  });
  expect(anyOf([quick, paced()]).pace).toBeUndefined();
});

test('READY=1 wakes every kind of check, because it often means that somebody listens now', () => {
  let subscribed = 0;
  const notify = {
    subscribe: () => {
      subscribed += 1;
      return { [Symbol.dispose]: () => void (subscribed -= 1) };
    },
  } as unknown as NonNullable<Parameters<typeof contextOf>[0]>['notify'];
  const hints = createProbe({ tcp: '127.0.0.1:1' }, contextOf({ notify })).onHint?.(() => undefined);
  expect(subscribed).toBe(1);
  hints?.[Symbol.dispose]();
  expect(subscribed).toBe(0);
});

test.each<[string, ProbeRecipe, string[]]>([
  ['a URL that is none', { http: { url: 'localhost:80' } }, ['http: "localhost:80" does not begin with http://']],
  ['nonsense as a URL', { https: { url: '///' } }, ['https: "///" is not a URL, like https://127.0.0.1:8080/health']],
  ['http for https', { https: { url: 'http://x/' } }, ['https: "http://x/" does not begin with https://']],
  [
    'a key without its certificate',
    { https: { url: 'https://x/', key: '/k' } },
    ['https: `cert` and `key` belong together'],
  ],
  ['a port out of range', { tcp: '127.0.0.1:70000' }, ['tcp: "127.0.0.1:70000" is not host:port, like 127.0.0.1:2379']],
  ['a relative path', { unix: 'run/x.sock' }, ['unix: "run/x.sock" is not an absolute path']],
  [
    'a target without a port',
    { grpc: { address: 'localhost' } },
    ['grpc: "localhost" is neither host:port nor unix:///path'],
  ],
  [
    'a bad pattern within all',
    { all: [{ notify: true }, { log: '(' }] },
    ['all: log: Invalid regular expression: /(/: Unterminated group'],
  ],
])('%s is a mistake that is named', (_name, spec, mistakes) => {
  expect(validateProbeSpec(spec)).toEqual(mistakes);
});

test.each<ProbeRecipe>([
  { tcp: '2379' },
  { tcp: ':2379' },
  { tcp: '[::1]:2379' },
  { tcp: 'etcd.example:2379' },
  { grpc: { address: 'unix:///run/containerd/containerd.sock', cri: true } },
  { https: { url: 'https://127.0.0.1:6443/readyz', ca: '/ca', cert: '/c', key: '/k', body: '^ok$' } },
  { any: [{ file: '/run/flannel/subnet.env' }, { exec: ['true'] }] },
])('%j is right', (spec) => {
  expect(validateProbeSpec(spec)).toEqual([]);
  expect(createProbe(spec, contextOf()).describe()).not.toBe('');
});

test('what the unit file allows is what this room takes', () => {
  expectTypeOf<ProbeSpec>().toExtend<ProbeRecipe>();
  expectTypeOf<keyof ProbeRecipe>().toEqualTypeOf<keyof ProbeSpec>();
});

test('a recipe that slipped past the check is refused with its mistake', () => {
  expect(() => createProbe({ notify: true }, contextOf())).toThrow('etcd: a notify check needs a notify socket');
  expect(() => createProbe({}, contextOf())).toThrow('etcd: a check needs a kind');
  expect(() => createProbe({ tcp: 'x' }, contextOf())).toThrow('"x" is not an address');
});
