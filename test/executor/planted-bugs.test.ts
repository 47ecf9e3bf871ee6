/**
 * Does the simulator find bugs? Each of these is planted into a copy of the executor, which must
 * then fail; the unchanged copy must not.
 */
import { mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { simulationCases } from '../kit/simulation-case.ts';
import type * as Simulator from '../kit/simulator.ts';

interface Edit {
  /** Relative to src/executor. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

interface Bug {
  readonly name: string;
  readonly edits: readonly Edit[];
  /** One of the rules that it breaks. */
  readonly breaks: RegExp;
  /** Of the cases that are tried, where the usual ones take long to come to it. */
  readonly seed?: number;
}

const bugs: readonly Bug[] = [
  {
    name: 'an answer of an older generation is believed',
    // Two lines of defence: a run that was stopped tells nothing, and the machine compares generations.
    edits: [
      {
        file: 'unit-machine.ts',
        from: "if ('generation' in input && input.generation !== machine.generation) return stay(machine);",
        to: '',
      },
      { file: 'run.ts', from: 'if (!stopped) tell(...args);', to: 'tell(...args);' },
    ],
    breaks: /believes an error of generation/,
  },
  {
    name: 'the gates are not looked at again when a blocked unit’s dependency recovers',
    edits: [
      {
        file: 'unit-runner.ts',
        from: "if (state.id === 'waiting' || state.id === 'blocked') this.#lookAtGates();",
        to: "if (state.id === 'waiting') this.#lookAtGates();",
      },
    ],
    breaks: /is blocked, but its gates are open|is blocked, but a hard dependency can still start/,
  },
  {
    name: 'units are stopped without waiting for their dependents',
    edits: [
      {
        file: 'stop-plan.ts',
        from: 'await Promise.all(before.map(stopOnce));',
        to: 'void before.map(stopOnce);',
      },
    ],
    breaks: /before its dependent/,
  },
  {
    name: 'a soft edge waits for ever',
    edits: [
      {
        file: 'unit-runner.ts',
        from: 'if (lookAgainInMs !== undefined) this',
        to: 'if (lookAgainInMs === null) this',
      },
    ],
    breaks: /is waiting, but its gates are open/,
  },
  {
    name: 'the next start does not wait until the last generation is gone',
    edits: [
      {
        file: 'unit-runs.ts',
        from: 'pids = (await this.#run?.stop({ hurry, onStep })) ?? [];',
        to: 'void this.#run?.stop({ hurry, onStep });',
      },
    ],
    breaks: /alive|was gone/,
  },
  {
    name: 'a unit blocked by another root keeps naming the old one',
    edits: [
      {
        file: 'create-executor.ts',
        from: 'before.lastError !== after.lastError\n  );\n}\n\n/** Worth',
        to: 'false\n  );\n}\n\n/** Worth',
      },
    ],
    breaks: /root cause|old error/,
  },
  {
    name: 'the limit of failed starts is off by one',
    edits: [
      {
        file: 'machine-failure.ts',
        from: 'failedStarts >= policy.limitStarts',
        to: 'failedStarts > policy.limitStarts',
      },
    ],
    breaks: /says exhausted/,
  },
  {
    name: 'a hard gate opens when its target merely runs',
    edits: [
      {
        file: 'gates.ts',
        from: "if (need.kind !== 'hard' || need.until !== 'started') return false;",
        to: "if (need.kind !== 'hard') return false;",
      },
    ],
    breaks: /starts, but its hard gate/,
  },
  {
    name: 'the degraded flag is never cleared',
    edits: [
      {
        file: 'dependency-watch.ts',
        from: 'this.#missing = this.#missing.filter(({ unit }) => !isUp(this.#snapshotOf(unit).state));',
        to: '',
      },
    ],
    breaks: /says it is degraded/,
  },
  {
    name: 'the health watch of a stopped generation goes on',
    edits: [
      {
        file: 'run-process.ts',
        from: 'health?.[Symbol.dispose]();',
        to: '',
      },
    ],
    breaks: /timers are left|did not end/,
  },
  {
    name: 'a stop that was overtaken by a start goes on',
    edits: [
      { file: 'unit-control.ts', from: 'if (!isEnding()) return;\n        if (holds(unit)) runner', to: 'runner' },
    ],
    breaks: /not everything is ready|does not say so/,
    seed: 2,
  },
  {
    name: 'a stop with --cascade takes direct dependents only',
    edits: [{ file: 'stop-plan.ts', from: 'stack.push(unit);', to: '' }],
    breaks: /not everything is ready/,
  },
  {
    name: 'a unit that the user stopped does not say so',
    edits: [{ file: 'unit-runner.ts', from: 'else if (byUser) this', to: 'else if (!byUser) this' }],
    breaks: /does not say so/,
  },
  {
    name: 'a new definition that fails is kept',
    edits: [{ file: 'reload.ts', from: 'if (failed.length > 0) {', to: 'if (failed.length < 0) {' }],
    breaks: /not everything is ready/,
  },
  {
    name: 'a unit that a reload brings back begins at generation 1 again',
    edits: [{ file: 'create-executor.ts', from: 'retired.get(name) ?? newRunner(name)', to: 'newRunner(name)' }],
    breaks: /went back a generation|but was/,
  },
  {
    name: 'a unit is started although its process of before a crash of ours runs on',
    edits: [
      {
        file: 'unit-runner.ts',
        from: "if (desired === 'up' && adopted !== undefined",
        to: "if (desired === 'up' && adopted?.unit === ''",
      },
    ],
    breaks: /was launched while generation .* is alive|still alive after the stop/,
  },
  {
    name: 'a process is adopted although its unit has changed',
    edits: [{ file: 'plan-adoption.ts', from: 'record.hash !== unit.hash', to: 'false' }],
    breaks: /is adopted, but it has changed/,
  },
  {
    name: 'that a process was ready is not written down',
    edits: [
      {
        file: 'run-process.ts',
        from: 'if (isReady && isRemembered) process.becameReady(',
        to: 'if (!isReady && isRemembered) process.becameReady(',
      },
    ],
    breaks: /runs on and matches, but is not adopted/,
  },
];

const root = fileURLToPath(new URL('../..', import.meta.url));
// Inside the project, because the bundle imports its packages.
const folder = path.join(root, '.cache', `planted-bugs-${String(process.pid)}`);
beforeAll(async () => {
  await mkdir(folder, { recursive: true });
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function simulatorWith(bug: Bug | undefined, name: string): Promise<typeof Simulator> {
  const outfile = path.join(folder, `${name}.mjs`);
  const missing = new Set(bug?.edits);
  await build({
    entryPoints: [path.join(root, 'test/kit/simulator.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'silent',
    plugins: [
      {
        name: 'plant',
        setup({ onLoad }) {
          onLoad({ filter: /src\/executor\/[a-z-]+\.ts$/ }, async ({ path: file }) => {
            let contents = await readFile(file, 'utf8');
            for (const edit of missing) {
              if (!file.endsWith(`/executor/${edit.file}`) || !contents.includes(edit.from)) continue;
              contents = contents.replace(edit.from, edit.to);
              missing.delete(edit);
            }
            return { contents, loader: 'ts' };
          });
        },
      },
    ],
  });
  expect([...missing], 'lines to be changed that are no longer in the source').toEqual([]);
  return (await import(pathToFileURL(outfile).href)) as typeof Simulator;
}

/** The first broken rules that `runs` cases show, or undefined. */
async function firstFailure({ simulate }: typeof Simulator, runs: number, seed = 42): Promise<string | undefined> {
  let found: string | undefined;
  const property = fc.asyncProperty(simulationCases({ min: 1, max: 12 }), async (simulation) => {
    const { violations } = await simulate(simulation);
    if (violations.length > 0) found = violations.join('\n');
    return violations.length === 0;
  });
  await fc.check(property, { numRuns: runs, endOnFailure: true, seed });
  return found;
}

test('an executor without planted bugs breaks no rule', { timeout: 120_000 }, async () => {
  expect(await firstFailure(await simulatorWith(undefined, 'sound'), 200)).toBeUndefined();
});

test.each(bugs.map((bug, index) => [bug.name, index, bug] as const))(
  'the simulator finds the planted bug: %s',
  { timeout: 120_000 },
  async (_name, index, bug) => {
    expect(await firstFailure(await simulatorWith(bug, `bug-${String(index)}`), 2500, bug.seed)).toMatch(bug.breaks);
  },
);
