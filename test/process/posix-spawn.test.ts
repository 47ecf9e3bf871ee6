import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { exitOfStatus } from '../../src/process/child-exits.ts';
import { posixSpawner } from '../../src/process/posix-spawn.ts';
import { spawnByFork, spawnDetached, type SpawnRequest } from '../../src/process/spawn.ts';
import { scratch } from './scratch.ts';

/** Both ways of starting a process have to give a unit the same world. */
const ways = { 'in place': spawnDetached, 'by fork': spawnByFork };

test('the machines that this is tested on have FFI', () => {
  expect(posixSpawner()).toBeDefined();
});

test.each(Object.entries(ways))(
  'a process started %s leads a session, has no input, default signals and our environment alone',
  async (_way, start) => {
    await using place = scratch();
    const seen = await outputOf(place.folder, start, {
      file: '/bin/sh',
      args: [
        '-c',
        `pwd; cat; echo "$A/\${HOME-}"; readlink /proc/self/fd/0; grep -E '^Sig(Blk|Ign)' /proc/self/status; cut -d ' ' -f 5,6 /proc/$$/stat; echo $$; ls /proc/self/fd`,
      ],
      env: { PATH: process.env['PATH'] ?? '', A: 'ä "1"' },
      cwd: place.folder,
    });
    const [cwd, variables, input, blocked, ignored, groups, pid, ...fds] = seen.trim().split('\n');
    // Whoever started the tests may have left some of theirs open to all; none of ours is.
    const ours = fds.filter((fd) => Number(fd) < 100);
    expect(cwd).toBe(place.folder);
    expect(variables).toBe('ä "1"/');
    expect(input).toBe('/dev/null');
    expect(blocked).toMatch(/^SigBlk:\s0+$/);
    expect(ignored).toMatch(/^SigIgn:\s0+$/);
    expect(groups).toBe(`${String(pid)} ${String(pid)}`);
    // 3 is the folder that ls reads.
    expect(ours).toEqual(['0', '1', '2', '3']);
  },
);

test.each(Object.entries(ways))('exits of many processes started %s are told, each its own', async (_way, start) => {
  await using place = scratch();
  const codes = Array.from({ length: 60 }, (_, index) => index);
  const output = openSync(path.join(place.folder, 'out'), 'a');
  const request = { cwd: place.folder, env: { PATH: process.env['PATH'] ?? '' }, account: undefined, output };
  const children = codes.map((code) =>
    start({ ...request, file: '/bin/sh', args: ['-c', code % 10 === 9 ? 'kill -9 $$' : `exit ${String(code)}`] }),
  );
  // A child of Node.js's own beside them: neither takes the other's exit.
  const other = new Promise((resolve) => spawn('/bin/sh', ['-c', 'exit 77']).once('exit', resolve));
  const exits = await Promise.all(children.map(({ exited }) => exited));
  closeSync(output);
  expect(exits).toEqual(
    codes.map((code) => (code % 10 === 9 ? { kind: 'signal', signal: 'SIGKILL' } : { kind: 'code', code })),
  );
  expect(await other).toBe(77);
  // Taken from the kernel too: no zombie is left.
  for (const { pid } of children) expect(existsSync(`/proc/${String(pid)}`)).toBe(false);
  expect(process.listenerCount('SIGCHLD')).toBe(0);
});

test('why a program cannot be run is told at once, by the errno of the kernel', async () => {
  await using place = scratch();
  const script = path.join(place.folder, 'script');
  writeFileSync(script, 'echo no first line\n', { mode: 0o755 });
  const lost = path.join(place.folder, 'lost');
  writeFileSync(lost, '#!/nowhere/interpreter\n', { mode: 0o755 });
  const failure = (file: string, args: readonly string[] = []) => {
    try {
      spawnDetached({ file, args, env: {}, cwd: place.folder, account: undefined, output: 1 });
    } catch (error) {
      return error as NodeJS.ErrnoException;
    }
    throw new Error('it was started');
  };
  expect(failure(script)).toMatchObject({
    code: 'ENOEXEC',
    message: expect.stringContaining('begins with #!') as string,
  });
  expect(failure(lost)).toMatchObject({
    code: 'ENOENT',
    message: expect.stringContaining('/nowhere/interpreter') as string,
  });
  expect(failure('/bin/true', ['x'.repeat(200_000)])).toMatchObject({ code: 'E2BIG' });
  expect(process.listenerCount('SIGCHLD')).toBe(0);
});

test.each([
  [0, { kind: 'code', code: 0 }],
  [0x0700, { kind: 'code', code: 7 }],
  [0xff00, { kind: 'code', code: 255 }],
  [9, { kind: 'signal', signal: 'SIGKILL' }],
  [0x80 | 6, { kind: 'signal', signal: 'SIGABRT' }],
  [29, { kind: 'signal', signal: 'SIGIO' }],
  [37, { kind: 'signal', signal: 'SIGRTMIN+3' }],
])('wait status %i means %j', (status, exit) => {
  expect(exitOfStatus(status)).toEqual(exit);
});

async function outputOf(
  folder: string,
  start: typeof spawnDetached,
  request: Omit<SpawnRequest, 'account' | 'output'>,
): Promise<string> {
  const file = path.join(folder, 'output');
  const output = openSync(file, 'a');
  const { exited } = start({ ...request, account: undefined, output });
  closeSync(output);
  await exited;
  return readFileSync(file, 'utf8');
}
