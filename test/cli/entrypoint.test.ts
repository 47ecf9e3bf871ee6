/** `up` as the entrypoint of a container runs it: units' output on its own, words for the main unit, its exit code. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { pathsOf } from '../../src/app/paths.ts';
import { controlClient } from '../../src/control/client.ts';

const program = path.resolve(import.meta.dirname, '../../bin/k3s-lite.js');

/** `up` on unit files of the test's own; `words` stand behind its other options. */
function startUp(units: Readonly<Record<string, string>>, words: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-entrypoint-'));
  const [dataDir, unitDir] = [path.join(folder, 'data'), path.join(folder, 'units')];
  mkdirSync(unitDir);
  for (const [name, text] of Object.entries(units)) writeFileSync(path.join(unitDir, `${name}.yaml`), text);
  const { controlSocket, runDir } = pathsOf({ dataDir, env: process.env, uid: process.getuid?.() ?? 0 });
  const child = spawn(process.execPath, [program, 'up', '--data-dir', dataDir, '--units', unitDir, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  const client = controlClient({ socketPath: controlSocket, dataDir });
  let out = '';
  const read = () => void child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  let err = '';
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const ended = once(child, 'close').then(([code]: unknown[]) => code);
  onTestFinished(async () => {
    read();
    await client.down({ hurry: true }).catch(() => undefined);
    await ended;
    rmSync(folder, { recursive: true, force: true });
    rmSync(runDir, { recursive: true, force: true });
  });
  return { client, ended, read, out: () => out, err: () => err, stop: () => child.kill('SIGTERM') };
}

const says = (text: string, rest = '') => `about: Says something\nkind: task\nrun: [echo, '${text}']\n${rest}`;
const main = `about: Prints its words and fails
run: [sh, -c, 'echo "got $*"; exit 7', main]
flags: {port: '80'}
needs: [{hard: earlier-one}]
restart: {when: never}
`;

test('[C5] words after -- go to the main unit, whose exit code is that of up; output stands behind names', async () => {
  const up = startUp({ 'earlier-one': says('first'), main }, [
    ...['--exit-with', 'main', '--unit-output', 'prefix'],
    ...['--', '--verbose', 'two words'],
  ]);
  up.read();
  expect(await up.ended, up.err()).toBe(7);
  expect(up.out()).toContain('earlier-one | first\n');
  expect(up.out()).toContain('main        | got --port=80 --verbose two words\n');
});

test('[C5] flags come from the environment as well', async () => {
  const env = { K3S_LITE_EXIT_WITH: 'main', K3S_LITE_UNIT_OUTPUT: 'prefix' };
  const up = startUp({ 'earlier-one': says('first'), main }, ['--', 'word'], env);
  up.read();
  expect(await up.ended, up.err()).toBe(7);
  expect(up.out()).toContain('main        | got --port=80 word\n');
});

test('without --exit-with nobody knows whom the words are for', async () => {
  const up = startUp({ 'earlier-one': says('first') }, ['--', '--verbose']);
  up.read();
  expect(await up.ended).toBe(3);
  expect(up.err()).toContain('name it with --exit-with UNIT');
});

test('[C5] a reader that does not read keeps no unit waiting; what it missed is counted', async () => {
  // Sixty times what a pipe holds, and more than may wait in memory.
  const chatty = 'about: Prints much\nkind: task\nrun: [seq, -f, "%0100.0f", "1", "40000"]\n';
  const up = startUp({ chatty, after: says('done', 'needs: [{hard: chatty}]\n') }, ['--unit-output', 'prefix']);
  const isReady = () =>
    up.client
      .status()
      .then(({ ready }) => ready)
      .catch(() => false);
  await expect.poll(isReady, { timeout: 10_000 }).toBe(true);
  // Not by looking at the output, which nobody reads: the supervisor answers, and has stopped writing.
  await expect.poll(() => up.client.status().then(({ units }) => units.length)).toBe(2);
  up.read();
  await expect.poll(() => /k3s-lite \| \d+ lines of units dropped/.test(up.out()), { timeout: 10_000 }).toBe(true);
  up.stop();
  expect(await up.ended).toBe(0);
  const shown = up.out().match(/^chatty +\| \d+$/gm)?.length ?? 0;
  const dropped = [...up.out().matchAll(/\| (\d+) lines of units dropped/g)].map(([, count]) => Number(count));
  const shownAfter = /^after +\| done$/m.test(up.out()) ? 1 : 0;
  expect(shown + shownAfter + dropped.reduce((sum, count) => sum + count, 0)).toBe(40_001);
});
