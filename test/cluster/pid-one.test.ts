/**
 * An init in a pid namespace of its own, as in a container: `up` as PID 1, alone and below k3s-lite-init
 * (signals, exit codes, crashes), and ten thousand orphans beside 200 children of our own.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { programs, startUp, type Mode, type Programs } from '../cli/init-kit.ts';
import { rowsOf } from '../kit/matrix.ts';
import { bundledProgram, type Program } from '../process/bundle.ts';
import { canUnshare, childrenOf, runAsPidOne } from '../process/pid-namespace.ts';

let ours: Programs;
let orphans: Program;
beforeAll(async () => {
  [ours, orphans] = await Promise.all([programs(), bundledProgram('test/process/fixtures/many-orphans.ts')]);
});
afterAll(() => {
  ours[Symbol.dispose]();
  orphans[Symbol.dispose]();
});

const up = (mode: Mode, units: Readonly<Record<string, string>>, words: readonly string[] = [], env = {}) =>
  startUp(ours, { mode, units, words, env });

function temporaryFolder(): Disposable & { readonly path: string } {
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-bug-'));
  return { path: folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

const sleeper = 'run: [sleep, "300"]';
/** Never ready by itself. */
const slow = `${sleeper}\nready: {file: FOLDER/go}`;
const deaf = `run: [sh, -c, "trap '' TERM; echo up; while :; do sleep 0.02; done"]\nready: {log: up}\nstop: {within: 1h}`;

/** Stopped at once, but undone for ever. */
const stuck = `${sleeper}\nundo: [sleep, "301"]`;

const commandOf = (pid: number) => {
  try {
    return readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8')
      .replaceAll('\0', ' ')
      .trim();
  } catch {
    return ''; // It has ended meanwhile.
  }
};
const descendantsOf = (pid: number): readonly number[] =>
  childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);

describe.skipIf(!canUnshare).each(['alone', 'below-init'] as const)('[C5] as an init, %s', (mode) => {
  const isAlone = mode === 'alone';
  const signals = ['SIGTERM', 'SIGINT', 'SIGQUIT', ...(isAlone ? [] : [34 + 3])] as const;
  test.each(rowsOf(signals, (name) => (name === 'SIGTERM') === isAlone))(
    'signal %s stops everything in order, exit code 0',
    async (name) => {
      await using place = up(mode, { sleeper });
      await place.isReady();
      await place.signal(name);
      expect(await place.ended).toMatchObject({ code: 0 });
      expect(place.out()).toContain('everything is stopped');
    },
  );

  test('SIGHUP, SIGUSR2 and SIGWINCH end nothing', async () => {
    await using place = up(mode, { sleeper });
    await place.isReady();
    const before = childrenOf(await place.supervisor());
    for (const name of ['SIGHUP', 'SIGUSR2', 'SIGWINCH'] as const) await place.signal(name);
    if (mode === 'below-init') await place.signal('SIGUSR1');
    expect(before).toHaveLength(1);
    expect(childrenOf(await place.supervisor())).toEqual(before);
    await place.signal('SIGTERM');
    expect(await place.ended).toMatchObject({ code: 0 });
    expect(place.err()).toBe('');
  });

  const early = [
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGQUIT', 143],
  ] as const;
  test.each(rowsOf(early, ([name]) => (name === 'SIGTERM') !== isAlone))(
    '%s before everything is ready: exit code %i',
    async (name, code) => {
      await using place = up(mode, { slow });
      await place.said('starting 1 unit');
      await place.signal(name);
      expect(await place.ended).toMatchObject({ code });
    },
  );

  test('a second signal hurries', async () => {
    await using place = up(mode, { deaf });
    await place.isReady();
    await place.signal('SIGTERM');
    await place.said('stopping: SIGTERM');
    await place.signal('SIGTERM');
    expect(await place.ended).toMatchObject({ code: 0 });
  });

  const impatient = [
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const;
  test.each(rowsOf(impatient, ([name]) => (name === 'SIGTERM') === isAlone))(
    'a third %s leaves at once, exit code %i, and nothing of the container is left',
    async (name, code) => {
      await using place = up(mode, { deaf: `${deaf}\nneeds: [{hard: stuck}]`, stuck });
      await place.isReady();
      const one = await place.pid();
      const undoing = () => descendantsOf(one).some((pid) => commandOf(pid).endsWith('sleep 301'));
      await place.signal(name);
      await place.said(`stopping: ${name}`);
      expect(undoing()).toBe(false);
      // The second kills what does not stop; then comes an undo, which nothing hurries.
      await place.signal(name);
      await expect.poll(undoing, { timeout: 10_000 }).toBe(true);
      const before = descendantsOf(one);
      await place.signal(name);
      expect(await place.ended).toMatchObject({ code });
      expect(place.out()).not.toContain('everything is stopped');
      expect(before.filter((pid) => existsSync(`/proc/${String(pid)}`))).toEqual([]);
    },
  );
});

describe.skipIf(!canUnshare)('[C5] k3s-lite-init', () => {
  test('starts k3s-lite again after SIGKILL; the unit runs once', async () => {
    await using place = up('below-init', { sleeper });
    await place.isReady();
    const [first, one] = [await place.supervisor(), await place.pid()];
    process.kill(first, 'SIGKILL');
    await place.isReady(2);
    expect(await place.pid()).toBe(one);
    expect(await place.supervisor()).not.toBe(first);
    const everything = [...childrenOf(one), ...childrenOf(one).flatMap(childrenOf)];
    const sleeping = everything.filter((pid) => readFileSync(`/proc/${String(pid)}/comm`, 'utf8') === 'sleep\n');
    expect(sleeping).toHaveLength(1);
    await place.signal('SIGTERM');
    expect(await place.ended).toMatchObject({ code: 0 });
    expect(place.err()).toContain('was ended by signal 9 (killed); starting it again');
  });

  test('starts k3s-lite again after a bug, which is told', async () => {
    using folder = temporaryFolder();
    const bug = path.join(folder.path, 'bug.cjs');
    // Planted where the first k3s-lite meets it, and no other.
    const once = `require('node:fs').writeFileSync(${JSON.stringify(`${bug}.met`)}, '', {flag: 'wx'})`;
    writeFileSync(bug, `process.on('SIGWINCH', () => { ${once}; throw new Error('planted'); });`);
    await using place = up('below-init', { sleeper }, [], { NODE_OPTIONS: `--require ${bug}` });
    await place.isReady();
    await place.signal('SIGWINCH');
    await place.isReady(2);
    expect(place.err()).toMatch(/internal error: Error: planted[^]*ended by signal 6 \(aborted\); starting it again/);
    await place.signal('SIGTERM');
    expect(await place.ended).toMatchObject({ code: 0 });
  });

  test('does not start k3s-lite again when it ends by itself, whatever its code', async () => {
    const main = 'run: [sh, -c, "sleep 0.2; exit 1"]\nrestart: {when: never}';
    await using place = up('below-init', { main, sleeper }, ['--exit-with', 'main']);
    expect(await place.ended).toMatchObject({ code: 1 });
    await using mistake = up('below-init', { sleeper }, ['--exit-with', 'main']);
    expect(await mistake.ended).toMatchObject({ code: 3 });
    expect(`${place.err()}${mistake.err()}`).not.toContain('starting it again');
  });
});

describe.skipIf(!canUnshare)('[C5] 10,000 orphans and 200 children of our own', () => {
  const inits = [
    ['Node alone as PID 1', () => [process.execPath, orphans.file], 'pid-1'],
    ['k3s-lite-init as PID 1', () => [ours.init, '--', process.execPath, orphans.file], 'below-init'],
  ] as const;
  // The harder one: who reaps is who started the 200.
  test.each(rowsOf(inits, ([, , role]) => role === 'pid-1'))(
    '%s: no zombie is left, and each of ours reports its own end',
    async (_what, argv, role) => {
      await using running = runAsPidOne([...argv(), '20', '500', '200']);
      expect(await running.ended, running.err()).toEqual({ code: 37, signal: null });
      const result = JSON.parse(running.out()) as { readonly born: number };
      expect(result).toMatchObject({ role, right: 220, wrong: [], zombies: 0, notices: [] });
      // Each orphan took a subshell, too: so many pids were given out.
      expect(result.born).toBeGreaterThan(20_000);
    },
  );
});
