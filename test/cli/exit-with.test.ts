/** `up --exit-with UNIT`: the exit code of the unit for whose sake the others run. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { programs, startUp, type Programs } from './init-kit.ts';

let ours: Programs;
beforeAll(async () => {
  ours = await programs();
}, 60_000);
afterAll(() => ours[Symbol.dispose]());

const up = (units: Readonly<Record<string, string>>, words: readonly string[] = [], env = {}) =>
  startUp(ours, { mode: 'plain', units, words, env });
const sleeper = 'run: [sleep, "300"]';

describe('[C5] --exit-with', () => {
  const never = 'restart: {when: never}';
  test.each([
    ['a service that ends well', `run: [sh, -c, "sleep 0.2"]\n${never}`, 0],
    ['a service that fails', `run: [sh, -c, "sleep 0.2; exit 7"]\n${never}`, 7],
    ['a service that a signal ends', `run: [sh, -c, "sleep 0.2; kill -ABRT $$"]\n${never}`, 134],
    ['a service that ends before it is ready', `run: ["true"]\nready: {file: FOLDER/no}\n${never}`, 4],
    ['a service that cannot be run', `run: [no-such-program]\n${never}`, 4],
    ['a task', 'kind: task\nrun: ["true"]', 0],
    ['a task that fails', `kind: task\nrun: [sh, -c, "exit 9"]\n${never}`, 9],
    [
      'a service that is restarted once, and then ends well',
      'run: [sh, -c, "sleep 0.1; [ -e FOLDER/seen ] || { touch FOLDER/seen; exit 5; }"]\nrestart: {when: on-failure}',
      0,
    ],
  ])('exits with the code of %s, after all others have stopped', async (_what, main, code) => {
    await using place = up({ main, sleeper }, [], { K3S_LITE_EXIT_WITH: 'main' });
    expect(await place.ended).toMatchObject({ code });
    expect(place.out()).toMatch(/stopping: main .* is not started again[^]*everything is stopped/);
  });

  test('a stop from outside is that, and no end of the unit', async () => {
    await using place = up({ main: sleeper }, ['--exit-with', 'main']);
    await place.isReady();
    await place.signal('SIGTERM');
    expect(await place.ended).toMatchObject({ code: 0 });
  });

  test('a unit that does not exist, or that nobody starts, is a mistake of configuration', async () => {
    await using unknown = up({ main: sleeper }, ['--exit-with', 'mian']);
    expect(await unknown.ended).toMatchObject({ code: 3 });
    expect(unknown.err()).toContain('did you mean "main"?');
    await using other = up({ main: sleeper, other: sleeper }, ['other', '--exit-with', 'main']);
    expect(await other.ended).toMatchObject({ code: 3 });
    expect(other.err()).toContain('--exit-with is "main", but only other would be started');
  });
});
