/** A unit beyond its memory, as a user of `up` sees it. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ownCgroup } from '../../src/process/cgroup.ts';
import { readExposition } from '../report/exposition-grammar.ts';
import type { Program } from '../process/bundle.ts';
import { buildProgram, upPlace } from './up-place.ts';

let program: Program;
beforeAll(async () => {
  program = await buildProgram();
});
afterAll(() => program[Symbol.dispose]());

const eater = `about: Takes memory until it is killed
run:
  - ${process.execPath}
  - -e
  - "setTimeout(() => { const all = []; for (;;) all.push(Buffer.alloc(1048576, 1)); }, 300)"
limits: {memory: 96MiB}
restart: {limit: {starts: 1}}
`;
const isLimitable = process.getuid?.() === 0 && existsSync(ownCgroup('/proc/self', 'memory') ?? '/nowhere');

test.skipIf(!isLimitable)(
  '[S8] events, why, status and metrics say that it ran out of memory, and what to do',
  async () => {
    await using here = upPlace(program, { eater, calm: 'about: Sleeps\nrun: [sleep, "300"]\n' });
    const { out } = here.run(['up'], 'pipe');
    const reason = 'was killed by the kernel: out of memory, limit 96 MiB';
    await expect.poll(out, { timeout: 15_000 }).toContain(`eater ${reason}`);
    expect(out()).toContain('hint: raise `limits.memory` of the unit');

    const why = here.run(['why', 'eater'], 'pipe');
    await why.ended;
    expect(why.out()).toContain(reason);
    const exits: unknown[] = [];
    for await (const line of await here.client.events({ since: 0, follow: false })) {
      if ('event' in line && line.event.type === 'process.exited') exits.push(line.event['exit']);
    }
    expect(exits).toContainEqual({ kind: 'signal', signal: 'SIGKILL', outOfMemory: { limitBytes: 96 * 2 ** 20 } });

    const { ended, out: table } = here.run(['status', '--wide'], 'pipe');
    await ended;
    expect(table()).toMatch(/UNIT +STATE +FOR +PID +RESTARTS +CPU +MEMORY +PEAK +DETAIL/);
    expect(table()).toMatch(/calm +ready .* (?:\d+ KiB|[\d.]+ MiB)\n/);
    const samples = readExposition(await here.client.metrics());
    const value = (name: string, unit: string) =>
      samples.find((sample) => sample.name === name && sample.labels['unit'] === unit)?.value;
    expect(value('k3s_lite_unit_oom_kills_total', 'eater')).toBeGreaterThan(0);
    expect(value('k3s_lite_unit_memory_bytes', 'calm')).toBeGreaterThan(100_000);
    const [, pid = ''] = /calm +ready +\S+ \S+ +(\d+)/.exec(table()) ?? [];
    expect(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).not.toMatch(/memory:.*k3s-lite/);
  },
);

test.skipIf(!isLimitable)(
  '[S8] of a unit that was adopted it is told, too',
  async () => {
    const script = `setInterval(() => { if (require('node:fs').existsSync('go')) { const all = []; for (;;) all.push(Buffer.alloc(1048576, 1)); } }, 5)`;
    await using here = upPlace(program, {
      eater: `about: Takes memory when it is told to\nrun: [${process.execPath}, -e, ${JSON.stringify(script)}]\nlimits: {memory: 96MiB}\n`,
    });
    const first = here.run(['up']);
    await expect.poll(here.isReady, { timeout: 20_000 }).toBe(true);
    first.child.kill('SIGKILL');
    await first.ended;
    const { out } = here.run(['up'], 'pipe');
    await expect.poll(here.isReady, { timeout: 20_000 }).toBe(true);
    const value = async (name: string) =>
      readExposition(await here.client.metrics()).find((sample) => sample.name === name)?.value;
    await expect.poll(() => value('k3s_lite_unit_memory_peak_bytes')).toBeGreaterThan(0);
    writeFileSync(path.join(here.dataDir, 'go'), '');
    const reason = 'eater ended when the kernel had killed a process of it: out of memory, limit 96 MiB';
    await expect.poll(out, { timeout: 10_000 }).toContain(reason);
    expect(out()).toContain('adopted 1 unit');
    expect(await value('k3s_lite_unit_oom_kills_total')).toBeGreaterThan(0);
  },
  60_000,
);

test.skipIf(!isLimitable)('[S8] limits that a reload gives to the first unit that has any are set', async () => {
  await using here = upPlace(program, { calm: 'about: Sleeps\nrun: [sleep, "300"]\n' });
  here.run(['up']);
  await expect.poll(here.isReady, { timeout: 20_000 }).toBe(true);
  const peak = 'k3s_lite_unit_memory_peak_bytes{unit="calm"}';
  expect(await here.client.metrics()).not.toContain(peak);
  const limited = 'about: Sleeps\nrun: [sleep, "300"]\nlimits: {memory: 96MiB}\n';
  writeFileSync(path.join(here.folder, 'units/calm.yaml'), limited);
  expect(await here.run(['reload']).ended).toMatchObject({ code: 0 });
  await expect.poll(() => here.client.metrics(), { timeout: 10_000 }).toContain(peak);
});
