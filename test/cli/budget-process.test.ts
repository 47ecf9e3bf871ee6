/** `up --budget` as a process of its own. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Program } from '../process/bundle.ts';
import { buildProgram, upPlace } from './up-place.ts';

let program: Program;
beforeAll(async () => {
  program = await buildProgram();
});
afterAll(() => program[Symbol.dispose]());

// base ← slow
const units = {
  base: 'about: Ready at once\nrun: [sleep, "300"]\n',
  slow: 'about: Takes a second\nrun: [sh, -c, "sleep 1; echo up; exec sleep 300"]\nready: {log: up}\nneeds: [{hard: base}]\n',
};
const line = /over budget: slow took 0\.\d+ s of 0\.30 s: base \S+ m?s → slow 0\.\d+ s\n/;

test('[S8] `up --wait` over budget stops everything, shows the critical chain and exits with 4', async () => {
  await using here = upPlace(program, units);
  const { ended, out } = here.run(['up', '--wait', '--budget', 'slow=300ms,total=60s'], 'pipe');
  expect((await ended).code).toBe(4);
  expect(out()).toMatch(line);
  expect(out()).toContain('k3s-lite: over budget: slow took more than 0.30 s\n');
  expect(out()).toContain('everything is stopped');
  expect(await here.isReady()).toBe(false);
});

test('`up` over budget is a line and an event, and goes on', async () => {
  await using here = upPlace(program, units);
  const { out } = here.run(['up', '--budget', 'slow=300ms'], 'pipe');
  await expect.poll(here.isReady, { timeout: 10_000 }).toBe(true);
  expect(out()).toMatch(line);
  const told: unknown[] = [];
  for await (const event of await here.client.events({ since: 0, follow: false })) told.push(event);
  expect(told).toContainEqual(
    expect.objectContaining({
      event: expect.objectContaining({ type: 'budget.exceeded', subject: 'slow' }) as unknown,
    }),
  );
});

test('a unit that this start does not have is told before anything starts', async () => {
  await using here = upPlace(program, units);
  const { code, err } = await here.run(['up', '--budget', 'slwo=1s']).ended;
  expect(code).toBe(3);
  expect(err).toContain('did you mean "slow"?');
});
