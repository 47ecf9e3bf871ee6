import { execFile } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import type { DgramSocket } from 'node-unix-socket';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import { createProbe } from '../../src/probe/create-probe.ts';
import { createNotifyPort } from '../../src/probe/notify-socket.ts';
import type { NotifySocket, NotifyState } from '../../src/probe/notify-port.ts';
import { maxDatagramBytes, readDatagram, silentState } from '../../src/probe/notify-state.ts';
import { untilReady } from '../../src/probe/until-ready.ts';
import { contextOf, failureOf, passes, patience, temporaryFolder } from './probe-fixture.ts';

const { DgramSocket: Socket } = createRequire(import.meta.url)('node-unix-socket') as {
  DgramSocket: new () => DgramSocket;
};

const portIn = (dir: string) => createNotifyPort({ dir, openDir: `${dir}-open`, clock: systemClock });

/** What a started process does: sends datagrams to $NOTIFY_SOCKET. */
function sender(path: string) {
  const socket = new Socket();
  return {
    send: (message: string | Uint8Array) =>
      new Promise<void>((done, fail) => {
        const bytes = Buffer.from(message as string);
        socket.sendTo(bytes, 0, bytes.length, path, (error) => {
          if (error === undefined || (error as unknown) === null) done();
          else fail(error);
        });
      }),
    [Symbol.dispose]: () => {
      socket.close();
    },
  };
}

const told = (socket: NotifySocket) =>
  new Promise<NotifyState>((done) => {
    const subscription = socket.subscribe((state) => {
      subscription[Symbol.dispose]();
      done(state);
    });
  });

const openFds = () => readdirSync('/proc/self/fd').length;

test('[S5] READY=1 makes a notify check pass within milliseconds of being sent', async () => {
  using folder = temporaryFolder();
  using socket = portIn(join(folder.path, 'notify')).open('etcd', 1);
  using process = sender(socket.path);
  const probe = createProbe({ notify: true }, contextOf({ notify: socket }));
  const hints: string[] = [];
  const outcome = untilReady(patience(probe, { onHint: (source) => hints.push(source) }));
  expect(await failureOf(probe)).toBe('no READY=1 yet');
  const first = told(socket);
  await process.send('STATUS=loading snapshot\n');
  await first;
  expect(await failureOf(probe)).toBe('no READY=1 yet: loading snapshot');
  const sentMs = performance.now();
  await process.send('READY=1\nSTATUS=serving');
  await outcome;
  expect(performance.now() - sentMs).toBeLessThan(200);
  expect(hints).toEqual(['notify', 'notify']);
});

test('each generation has its own socket in a folder that only we may enter, and nothing of it stays', () => {
  using folder = temporaryFolder();
  const dir = join(folder.path, 'notify');
  const port = portIn(dir);
  const first = port.open('etcd', 1);
  const second = port.open('etcd', 2);
  expect(first.path).not.toBe(second.path);
  expect(statSync(dir).mode & 0o777).toBe(0o700);
  first[Symbol.dispose]();
  expect(existsSync(first.path)).toBe(false);
  second[Symbol.dispose]();
  second[Symbol.dispose]();
  expect(readdirSync(dir)).toEqual([]);
});

test('a generation does not hear what is sent to another one', async () => {
  using folder = temporaryFolder();
  const port = portIn(folder.path);
  using old = port.open('etcd', 1);
  using present = port.open('etcd', 2);
  using late = sender(old.path);
  const heard = told(old);
  await late.send('READY=1');
  await heard;
  expect([old.current.ready, present.current.ready]).toEqual([true, false]);
});

test('a socket that a killed supervisor left behind is replaced, and long paths are shortened to what a socket may have', () => {
  using folder = temporaryFolder();
  const port = portIn(folder.path);
  writeFileSync(join(folder.path, 'etcd.1'), '');
  using again = port.open('etcd', 1);
  expect(statSync(again.path).isSocket()).toBe(true);
  using long = port.open(`worker@${'x'.repeat(120)}`, 1);
  expect(Buffer.byteLength(long.path)).toBeLessThanOrEqual(107);
  using deep = portIn(join(folder.path, 'd'.repeat(110))).open('etcd', 1);
  expect(Buffer.byteLength(deep.path)).toBeLessThanOrEqual(107);
  expect(statSync(dirname(deep.path)).mode & 0o777).toBe(0o700);
  deep[Symbol.dispose]();
  expect(existsSync(dirname(deep.path))).toBe(false);
});

test('the socket of an adopted generation is heard again at its path, and knows what was said before', async () => {
  using folder = temporaryFolder();
  const port = portIn(folder.path);
  const deepDir = join(folder.path, 'd'.repeat(110));
  for (const opened of [port.open('etcd', 3), portIn(deepDir).open('etcd', 3)]) {
    using process = sender(opened.path);
    // A killed supervisor leaves the file; nobody is behind it.
    using again = port.reopen(opened.path, { ready: true, mainPid: 42 });
    expect(again.current).toMatchObject({ ready: true, mainPid: 42, status: undefined });
    const heard = told(again);
    await process.send('STATUS=later\nMAINPID=43');
    expect(await heard).toMatchObject({ ready: true, mainPid: 43, status: 'later' });
    again[Symbol.dispose]();
    expect(existsSync(opened.path)).toBe(false);
    opened[Symbol.dispose]();
  }
});

/** A process of another user sends a message; what it says when it cannot. */
async function sendAs(uid: number, path: string, message: string): Promise<string> {
  const program =
    'socket(my $s, AF_UNIX, SOCK_DGRAM, 0); send($s, $ARGV[1], 0, pack_sockaddr_un($ARGV[0])) or print $!';
  const { stdout } = await promisify(execFile)('perl', ['-MSocket', '-e', program, path, message], {
    uid,
    gid: uid,
    cwd: '/',
  });
  return stdout;
}
const [daemon, nobody] = [1, 65_534];

test.runIf(process.getuid?.() === 0)(
  'a unit of another user reaches its own socket; no third user does, and nobody can replace it',
  async () => {
    using folder = temporaryFolder();
    chmodSync(folder.path, 0o755);
    const dir = join(folder.path, 'notify');
    const port = portIn(dir);
    using ours = port.open('etcd', 1);
    const poor = port.open('poor', 1, nobody);
    using other = port.open('other', 1, daemon);
    expect(statSync(poor.path)).toMatchObject({ uid: nobody, mode: expect.toSatisfy(isMode(0o600)) as number });
    expect(statSync(dirname(poor.path))).toMatchObject({ uid: 0, mode: expect.toSatisfy(isMode(0o711)) as number });

    const heard = told(poor);
    expect(await sendAs(nobody, poor.path, 'READY=1')).toBe('');
    expect(await heard).toMatchObject({ ready: true });
    for (const [uid, { path }] of [
      [daemon, poor],
      [nobody, other],
      [nobody, ours],
    ] as const) {
      expect(await sendAs(uid, path, 'READY=1')).toBe('Permission denied');
    }
    expect([other.current.ready, ours.current.ready]).toEqual([false, false]);
    const replaced = promisify(execFile)('mv', [poor.path, `${poor.path}.old`], { uid: nobody, cwd: '/' });
    await expect(replaced).rejects.toThrow('Permission denied');

    // A killed supervisor leaves it; the next one opens it again for the same user.
    using again = port.reopen(poor.path, { ready: true, mainPid: undefined }, nobody);
    const heardAgain = told(again);
    expect(await sendAs(nobody, again.path, 'STATUS=later')).toBe('');
    expect(await heardAgain).toMatchObject({ ready: true, status: 'later' });
    expect(await sendAs(daemon, again.path, 'STATUS=never')).toBe('Permission denied');

    again[Symbol.dispose]();
    expect(existsSync(dirname(again.path))).toBe(true);
    other[Symbol.dispose]();
    expect(existsSync(dirname(again.path))).toBe(false);
    poor[Symbol.dispose]();
  },
);

const isMode = (mode: number) => (found: number) => (found & 0o777) === mode;

test('garbage of any size, sent for real, is ignored and what follows is still heard', async () => {
  using folder = temporaryFolder();
  using socket = portIn(folder.path).open('etcd', 1);
  using process = sender(socket.path);
  await process.send(Uint8Array.of(0xff, 0xfe, 0x00));
  await process.send(`STATUS=${'x'.repeat(20_000)}`);
  await process.send('=\nREADY\n=1\nREADY=yes');
  const heard = told(socket);
  await process.send('READY=1');
  await heard;
  expect(socket.current).toMatchObject({ ready: true, status: undefined });
});

test('opening and closing a thousand sockets, some while they receive, leaks no descriptor', async () => {
  using folder = temporaryFolder();
  const port = portIn(folder.path);
  port.open('warm-up', 1)[Symbol.dispose]();
  await new Promise<void>((done) => void setImmediate(done));
  const before = openFds();
  for (let round = 0; round < 1000; round += 1) {
    const socket = port.open('etcd', round);
    if (round % 10 === 0) {
      using process = sender(socket.path);
      await process.send('READY=1');
    }
    socket[Symbol.dispose]();
  }
  await expect.poll(openFds).toBeLessThanOrEqual(before + 2);
});

test('a disposed socket lets the process end by itself', async () => {
  using folder = temporaryFolder();
  const module = resolve(import.meta.dirname, '../../src/probe/notify-socket.ts');
  const clock = resolve(import.meta.dirname, '../../src/kernel/clock.ts');
  const source = `
    import { createNotifyPort } from ${JSON.stringify(module)};
    import { systemClock } from ${JSON.stringify(clock)};
    const socket = createNotifyPort({ dir: ${JSON.stringify(folder.path)}, openDir: '', clock: systemClock }).open('etcd', 1);
    setTimeout(() => socket[Symbol.dispose](), 20);`;
  const { build } = await import('esbuild');
  const outfile = join(folder.path, 'child.mjs');
  const root = resolve(import.meta.dirname, '../..');
  await build({
    stdin: { contents: source, resolveDir: root },
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile,
    define: { 'import.meta.url': JSON.stringify(`file://${root}/src/probe/notify-socket.ts`) },
  });
  await promisify(execFile)(process.execPath, [outfile], { timeout: 5_000 });
  expect(existsSync(join(folder.path, 'etcd.1'))).toBe(false);
});

const read = (text: string, state = silentState, nowMs = 1000) => readDatagram(state, Buffer.from(text), nowMs);

test.each<[string, Partial<NotifyState>]>([
  ['READY=1', { ready: true }],
  ['STOPPING=1', { stopping: true }],
  ['STATUS=two\u001b[2J words', { status: 'two words' }],
  ['ERRNO=98', { errno: 98 }],
  ['MAINPID=4711', { mainPid: 4711 }],
  ['EXTEND_TIMEOUT_USEC=2500000', { extendedUntilMs: 3500 }],
  ['WATCHDOG=1', { watchdogAtMs: 1000 }],
  ['WATCHDOG=trigger', { watchdogAtMs: Number.NEGATIVE_INFINITY }],
  ['WATCHDOG_USEC=30000000', { watchdogMs: 30_000 }],
  ['X_WARNING=slow\u001b[2J disk', { warning: 'slow disk' }],
  ['X_WARNING=', { warning: '' }],
  ['X_FIGURES=a_b=1.5e-3 c=-2', { figures: { a_b: 0.0015, c: -2 } }],
  ['X_FIGURES=A=1 b=x c=1e999 d=4 e', { figures: { d: 4 } }],
  ['READY=1\nMAINPID=7\nX_OWN=thing\nSTATUS=a=b', { ready: true, mainPid: 7, status: 'a=b' }],
])('%j is understood', (text, expected) => {
  expect(read(text)).toEqual({ ...silentState, ...expected });
});

test.each([
  '',
  'BARRIER=1',
  'FDSTORE=1',
  'READY=0',
  'MAINPID=-1',
  'MAINPID=0',
  'ERRNO=x',
  'WATCHDOG=2',
  'garbage',
  `STATUS=${'x'.repeat(maxDatagramBytes)}`,
])('%j changes nothing', (text) => {
  expect(read(text)).toBeUndefined();
});

test('an extension never shortens an earlier one', () => {
  const first = read('EXTEND_TIMEOUT_USEC=9000000') ?? silentState;
  expect(read('EXTEND_TIMEOUT_USEC=1000', first, 2000)?.extendedUntilMs).toBe(10_000);
});

test('no datagram whatever throws', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void readDatagram(silentState, bytes, 0)));
});

test('a process that says that it stops is not ready', async () => {
  const socket = { current: { ...silentState, ready: true, stopping: true, errno: 5 } } as unknown as NotifySocket;
  const probe = createProbe({ notify: true }, contextOf({ notify: socket }));
  expect(await failureOf(probe)).toBe('says that it is stopping (ERRNO=5)');
  await passes(
    createProbe({ notify: true }, contextOf({ notify: { ...socket, current: { ...silentState, ready: true } } })),
  );
});
