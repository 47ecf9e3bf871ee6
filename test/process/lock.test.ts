import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeAll, afterAll, describe, expect, test } from 'vitest';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { libc } from '../../src/kernel/foreign.ts';
import { takeFlock } from '../../src/process/flock.ts';
import { lockDataDirectory, lockHolder } from '../../src/process/lock.ts';
import { systemProc } from '../../src/process/proc-reader.ts';
import { bundledProgram, type Program } from './bundle.ts';

let folder = '';
let program: Program;
const children: ChildProcess[] = [];

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-lock-'));
  // Lies within the repository, so that the C library is found.
  program = await bundledProgram('test/process/fixtures/locker.ts');
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  program[Symbol.dispose]();
});

const dataDirectory = () => mkdtempSync(path.join(folder, 'data-'));

interface Starter {
  readonly child: ChildProcess;
  /** Lets it ask for the lock, and gives its answer. */
  ask(): Promise<string>;
  kill(): Promise<void>;
}

/** @param wrapper - program and arguments before it: a namespace of its own */
async function starter(dataDir: string, wrapper: readonly string[] = []): Promise<Starter> {
  const argv: readonly string[] = [...wrapper, process.execPath, program.file, dataDir];
  const [file = '', ...args] = argv;
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const line = await lines.next();
    return line.done === true ? 'ended' : line.value;
  };
  expect(await next()).toBe('waiting');
  return {
    child,
    ask() {
      child.stdin.write('go\n');
      return next();
    },
    kill: () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve());
        child.kill('SIGKILL');
      }),
  };
}

test('a second one is refused with ERR_LOCKED, which names the holder and how to reach it', () => {
  const dataDir = dataDirectory();
  const lock = lockDataDirectory({ dataDir, contact: '/run/control.sock', wallMs: 0 });
  expect(() => lockDataDirectory({ dataDir, wallMs: 0 })).toThrow(
    expect.objectContaining({
      code: 'ERR_LOCKED',
      message: `${dataDir} is held by another k3s-lite: pid ${String(process.pid)}, since 1970-01-01T00:00:00.000Z; it answers on /run/control.sock`,
      detail: expect.objectContaining({ holderPid: process.pid, contact: '/run/control.sock' }) as unknown,
    }),
  );
  expect(lockHolder(dataDir)).toEqual({ pid: process.pid });
  lock[Symbol.dispose]();
  expect(lockHolder(dataDir)).toBeUndefined();
  lockDataDirectory({ dataDir, wallMs: 0 })[Symbol.dispose]();
});

test(
  'of 20 processes that start at once exactly one holds it; killed, exactly one of the others can',
  { timeout: 60_000 },
  async () => {
    const dataDir = dataDirectory();
    const starters = await Promise.all(Array.from({ length: 20 }, () => starter(dataDir)));
    const first = await Promise.all(starters.slice(0, 10).map(({ ask }) => ask()));
    expect(first.filter((answer) => answer === 'held')).toHaveLength(1);
    const holder = starters[first.indexOf('held')];
    if (holder === undefined) throw new Error('nobody holds it');
    const refused = `ERR_LOCKED ${String(holder.child.pid)}`;
    for (const answer of first) expect(['held', refused]).toContain(answer);
    await holder.kill();
    const second = await Promise.all(starters.slice(10).map(({ ask }) => ask()));
    expect(second.filter((answer) => answer === 'held')).toHaveLength(1);
    expect(readdirSync(path.join(dataDir, 'lock')).filter((name) => name.startsWith('new.'))).toEqual([]);
  },
);

test('many holders in turn, each killed, each succeeded by exactly one', { timeout: 60_000 }, async () => {
  const dataDir = dataDirectory();
  for (let round = 0; round < 4; round += 1) {
    const starters = await Promise.all(Array.from({ length: 4 }, () => starter(dataDir)));
    const answers = await Promise.all(starters.map(({ ask }) => ask()));
    expect(answers.filter((answer) => answer === 'held')).toHaveLength(1);
    await Promise.all(starters.map(({ kill }) => kill()));
  }
  expect(readdirSync(path.join(dataDir, 'lock'))).toHaveLength(1);
});

test('a holder whose pid belongs to another process by now holds nothing; nor does one before a reboot', () => {
  for (const change of [{ startTicks: 1 }, { bootId: 'earlier' }, { pidNamespace: 'pid:[1]' }]) {
    const dataDir = dataDirectory();
    const lock = lockDataDirectory({ dataDir, wallMs: 0 });
    lock[Symbol.dispose]();
    const stat = systemProc.stat(process.pid);
    const holder = { pid: process.pid, startTicks: stat?.startTicks, bootId: systemProc.bootId(), sinceWallMs: 0 };
    const file = path.join(dataDir, 'lock', '7');
    writeFileSync(file, JSON.stringify({ ...holder, pidNamespace: '', ...change }));
    lockDataDirectory({ dataDir, wallMs: 0 })[Symbol.dispose]();
  }
});

test('a damaged lock file holds nothing', () => {
  const dataDir = dataDirectory();
  lockDataDirectory({ dataDir, wallMs: 0 })[Symbol.dispose]();
  writeFileSync(path.join(dataDir, 'lock', '9'), '{"pid":');
  using _lock = lockDataDirectory({ dataDir, wallMs: 0 });
  expect(readdirSync(path.join(dataDir, 'lock'))).toEqual(['10']);
});

test('who works on an old list steps back when somebody has a higher number', () => {
  const dataDir = dataDirectory();
  lockDataDirectory({ dataDir, wallMs: 0 })[Symbol.dispose]();
  let winner: Disposable | undefined;
  let asked = 0;
  // While it looks whether the holder lives, another starter is faster, and tidies up.
  const slow = {
    ...systemProc,
    bootId: () => {
      asked += 1;
      // The first is for its own entry, before it lists the folder.
      if (asked === 1) winner = lockDataDirectory({ dataDir, wallMs: 0 });
      return systemProc.bootId();
    },
  };
  expect(() => lockDataDirectory({ dataDir, wallMs: 0, proc: slow })).toThrow(/is held by another/);
  expect(readdirSync(path.join(dataDir, 'lock'))).toEqual(['2']);
  winner?.[Symbol.dispose]();
});

describe.skipIf(process.getuid?.() !== 0 || libc() === undefined)('from several pid namespaces', () => {
  /** As in a container: pid 1, a /proc of its own, and its end with that of `unshare`. */
  const container = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];

  test('a second container on one volume is refused while the first lives, and takes over when it is killed', async () => {
    const dataDir = dataDirectory();
    const first = await starter(dataDir, container);
    expect(await first.ask()).toBe('held');
    const second = await starter(dataDir, container);
    expect(await second.ask()).toBe('ERR_LOCKED 1');
    // It left no trace, and the first still holds it against one outside of any container.
    expect(() => lockDataDirectory({ dataDir, wallMs: 0 })).toThrow(
      /is held by another k3s-lite: pid 1 in another pid namespace \(a container\?\), since [^;]*$/,
    );
    expect(readdirSync(path.join(dataDir, 'lock'))).toEqual(['1']);
    await first.kill();
    const third = await starter(dataDir, container);
    await expect.poll(() => flockOf(dataDir)).toBe('held');
    expect(await third.ask()).toBe('held');
  });

  test('one outside is respected inside', async () => {
    const dataDir = dataDirectory();
    using _lock = lockDataDirectory({ dataDir, wallMs: 0 });
    const inside = await starter(dataDir, container);
    expect(await inside.ask()).toBe(`ERR_LOCKED ${String(process.pid)}`);
  });

  test('of ten containers that start at once exactly one holds it', { timeout: 60_000 }, async () => {
    const dataDir = dataDirectory();
    const starters = await Promise.all(Array.from({ length: 10 }, () => starter(dataDir, container)));
    const answers = await Promise.all(starters.map(({ ask }) => ask()));
    expect(answers.filter((answer) => answer === 'held')).toHaveLength(1);
    expect(answers.filter((answer) => answer.startsWith('ERR_LOCKED'))).toHaveLength(9);
  });

  /** Free for a moment, to see whether the killed one is gone: `unshare` ends a little before what it started. */
  function flockOf(dataDir: string): string {
    const flock = takeFlock(path.join(dataDir, 'lock'));
    if (flock.state === 'held') flock.release();
    return flock.state;
  }
});

test('the lock is not inherited: a child that outlives its holder does not keep it', () => {
  const dataDir = dataDirectory();
  const lock = lockDataDirectory({ dataDir, wallMs: 0 });
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  children.push(child);
  lock[Symbol.dispose]();
  lockDataDirectory({ dataDir, wallMs: 0 })[Symbol.dispose]();
});
