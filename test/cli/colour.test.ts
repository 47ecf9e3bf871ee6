/** When a program's output is coloured. Real processes: what a stream says of itself differs by its kind. */
import path from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Program } from '../process/bundle.ts';
import { unitFolder, type UnitFolder } from '../unit/unit-folder.ts';
import { buildProgram } from './up-place.ts';

let program: Program;
let folder: UnitFolder;
beforeAll(async () => {
  program = await buildProgram();
  folder = unitFolder({ 'web.yaml': 'about: Web\nrun: [sleep, "1"]\n' });
});
afterAll(() => {
  program[Symbol.dispose]();
  folder[Symbol.dispose]();
});

async function plan(env: Readonly<Record<string, string>>): Promise<string> {
  const args = [
    program.file,
    'plan',
    '--units',
    path.join(folder.dir, 'units'),
    '--data-dir',
    path.join(folder.dir, 'data'),
  ];
  const own = { PATH: process.env['PATH'] ?? '', HOME: folder.dir, TERM: 'xterm' };
  const { stdout } = await execa(process.execPath, args, { env: { ...own, ...env }, extendEnv: false });
  return stdout;
}

const escape = '\u001b[';

test.each([{}, { CI: 'true' }, { CI: 'true', FORCE_COLOR: '0' }])('a pipe gets none: %j', async (env) => {
  const said = await plan(env);
  expect(said).toContain('web');
  expect(said).not.toContain(escape);
});

test('FORCE_COLOR colours a pipe', async () => {
  expect(await plan({ FORCE_COLOR: '1' })).toContain(escape);
});
