/** A unit that runs as another user, under `up` as a process of root. */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Program } from '../process/bundle.ts';
import { buildProgram, upPlace } from './up-place.ts';

let program: Program;
beforeAll(async () => {
  program = await buildProgram();
});
afterAll(() => program[Symbol.dispose]());

/** Sends READY=1, and STATUS=later at SIGHUP. */
const notifier = [
  'sub note { socket(my $s, AF_UNIX, SOCK_DGRAM, 0); send($s, $_[0], 0, pack_sockaddr_un($ENV{NOTIFY_SOCKET})) or die $! }',
  '$SIG{HUP} = sub { note("STATUS=later") }',
  'note("READY=1")',
  'sleep 300 while 1',
].join('; ');
const units = {
  poor: `about: Says that it is ready\nrun: ${JSON.stringify(['perl', '-MSocket', '-e', notifier])}\nuser: nobody\ncwd: /\nready: {notify: true}\n`,
};

test.runIf(process.getuid?.() === 0)(
  'is heard on its notify socket, also by the k3s-lite that adopts it; nothing of the socket stays',
  async () => {
    await using here = upPlace(program, units);
    const folder = `/run/k3s-lite-notify-${path.basename(here.paths.runDir)}`;
    const unit = async () => (await here.client.status()).units[0];
    const first = here.run(['up']);
    await expect.poll(here.isReady, { timeout: 10_000 }).toBe(true);
    const before = await unit();
    expect(readdirSync(folder)).toEqual(['poor.1']);

    first.child.kill('SIGKILL');
    await first.ended;
    const { child, ended } = here.run(['up']);
    await expect.poll(here.isReady, { timeout: 10_000 }).toBe(true);
    expect(await unit()).toMatchObject({ pid: before?.pid, generation: 1, restarts: 0 });
    process.kill(before?.pid ?? 0, 'SIGHUP');
    await expect.poll(async () => (await unit())?.status).toBe('later');

    child.kill('SIGTERM');
    expect((await ended).code).toBe(0);
    expect(existsSync(folder)).toBe(false);
  },
);
