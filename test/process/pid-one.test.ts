/** Orphans and own children at the same time: Node alone as PID 1, as subreaper, and below the static init. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundledProgram, type Program } from './bundle.ts';
import { canUnshare, initProgram, run, runAsPidOne, type Running } from './pid-namespace.ts';

let program: Program;
let init: string;
beforeAll(async () => {
  [program, init] = await Promise.all([bundledProgram('test/process/fixtures/many-orphans.ts'), initProgram()]);
}, 60_000);
afterAll(() => program[Symbol.dispose]());

async function result(running: Running): Promise<unknown> {
  expect(await running.ended, running.err()).toEqual({ code: 37, signal: null });
  return JSON.parse(running.out());
}
const few = ['4', '100', '30'];
const clean = { right: 34, wrong: [], zombies: 0, notices: [] };

describe.skipIf(!canUnshare)('in a pid namespace (needs root or user namespaces)', () => {
  test('[C5] Node alone as PID 1 reaps orphans, and its own children report their own ends', async () => {
    await using running = runAsPidOne([process.execPath, program.file, ...few]);
    expect(await result(running)).toMatchObject({ ...clean, role: 'pid-1' });
  });

  test('[C5] below k3s-lite-init the init reaps them', async () => {
    await using running = runAsPidOne([init, '--', process.execPath, program.file, ...few]);
    expect(await result(running)).toMatchObject({ ...clean, role: 'below-init' });
  });

  test('a PID 1 that does not reap keeps them all as zombies, which these tests would see', async () => {
    await using running = runAsPidOne([process.execPath, program.file, '2', '10', '1', 'deaf']);
    expect(await result(running)).toMatchObject({ right: 3, wrong: [], zombies: 20 });
  });
});

test('[C5] as subreaper Node reaps the orphans of its descendants', async () => {
  await using running = run([process.execPath, program.file, ...few]);
  expect(await result(running)).toMatchObject({ ...clean, role: 'subreaper' });
});
