import { afterEach, expect, test } from 'vitest';
import { childExits } from '../../src/process/child-exits.ts';
import type { PosixSpawnRequest } from '../../src/process/posix-spawn.ts';

const request: PosixSpawnRequest = { file: '/bin/true', argv: [], env: [], cwd: '/', output: 1 };

/** A kernel that shows the first of the ended children, as waitid does; some belong to somebody else. */
function kernel() {
  const ended: number[] = [];
  const asked: number[] = [];
  let lastPid = 0;
  const exits = childExits({
    spawn: () => (lastPid += 1),
    reap(pid) {
      asked.push(pid);
      const at = ended.indexOf(pid);
      if (at < 0) return undefined;
      ended.splice(at, 1);
      return pid << 8;
    },
    nextEnded: () => ended[0],
  });
  return { exits, ended, asked };
}

const start = ({ exits }: ReturnType<typeof kernel>) => {
  const child = exits.start(request);
  if (typeof child === 'string') throw new Error(child);
  return child.exited;
};

/** Ours alone: the runner of the tests listens, too. */
const listeners = () => process.listeners('SIGCHLD');
const before = listeners();
const tell = () => {
  for (const listener of listeners()) if (!before.includes(listener)) listener('SIGCHLD');
};

afterEach(() => {
  for (const listener of listeners()) if (!before.includes(listener)) process.off('SIGCHLD', listener);
});

test('who has ended is asked for, and nobody else', async () => {
  const place = kernel();
  const [, second, third] = [start(place), start(place), start(place)];
  place.ended.push(3, 2);
  tell();
  expect(await Promise.all([second, third])).toEqual([
    { kind: 'code', code: 2 },
    { kind: 'code', code: 3 },
  ]);
  expect(place.asked).toEqual([3, 2]);
});

test('behind the child of somebody else ours are found, and that one is left', async () => {
  const place = kernel();
  const [first, second] = [start(place), start(place)];
  place.ended.push(99, 2);
  tell();
  expect(await second).toEqual({ kind: 'code', code: 2 });
  expect(place.ended).toEqual([99]);
  place.ended.unshift(1);
  tell();
  expect(await first).toEqual({ kind: 'code', code: 1 });
  expect(place.ended).toEqual([99]);
});

test('with the last of them the listener goes', async () => {
  const place = kernel();
  const first = start(place);
  expect(listeners()).toHaveLength(before.length + 1);
  place.ended.push(1);
  tell();
  await first;
  expect(listeners()).toHaveLength(before.length);
});
