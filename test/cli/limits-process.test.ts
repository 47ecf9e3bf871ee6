/** A unit beyond its memory, as a user of `up` sees it. */
import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ownCgroup } from '../../src/process/cgroup.ts';
import { readExposition } from '../report/exposition-grammar.ts';
import { bundledCommand, place } from './up-kit.ts';

let command: Awaited<ReturnType<typeof bundledCommand>>;
beforeAll(async () => {
  command = await bundledCommand();
});
afterAll(() => command[Symbol.dispose]());

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
    await using here = place(command.program, { eater, calm: 'about: Sleeps\nrun: [sleep, "300"]\n' });
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
