import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { check } from '../../src/cli/commands/check.ts';
import { graph } from '../../src/cli/commands/graph.ts';
import { installedGraph, type GraphSource } from '../../src/cli/commands/graph-source.ts';
import { plan } from '../../src/cli/commands/plan.ts';
import type { CommandInput } from '../../src/cli/command.ts';
import { shippedUnits } from '../../src/app/shipped.ts';
import { writeRecord } from '../../src/report/start-store.ts';
import { unit, unitFolder, type UnitFolder } from '../unit/unit-folder.ts';
import { capturedIo } from '../kit/captured-io.ts';

type Command = (input: CommandInput, source: GraphSource) => Promise<number>;

interface Said {
  readonly code: number;
  readonly out: string;
}

/** Runs a command on the folder's unit files, with its own empty configuration. */
async function say(
  folder: UnitFolder,
  command: Command,
  given: {
    readonly args?: readonly string[];
    readonly options?: Record<string, unknown>;
    readonly source?: GraphSource;
  } = {},
): Promise<Said> {
  const { io, all } = capturedIo();
  const code = await command(
    {
      args: given.args ?? [],
      options: { units: [path.join(folder.dir, 'units')], dataDir: path.join(folder.dir, 'data'), ...given.options },
      io,
      env: { HOME: folder.dir, XDG_CONFIG_HOME: path.join(folder.dir, 'config'), PATH: '' },
      cwd: folder.dir,
      signal: new AbortController().signal,
    },
    given.source ?? installedGraph,
  );
  return { code, out: all().replaceAll(`${folder.dir}/`, '') };
}

const shop = {
  'database.yaml': unit(),
  'migrate.yaml': 'about: Tables\nkind: task\nrun: [migrate]\nneeds: [{hard: database}]\n',
  'api.yaml': unit('needs:\n  - hard: migrate\n  - soft: cache\n    maxWait: 5s\n  - parallel: metrics\n'),
  'cache.yaml': unit(),
  'metrics.yaml': unit(),
};

/** The same graph, with times of an earlier start. */
const timed: GraphSource = {
  ...installedGraph,
  async load(input, units) {
    const durationsMs = new Map([
      ['database', 1500],
      ['migrate', 300],
      ['api', 200],
    ]);
    return { ...(await installedGraph.load(input, units)), durationsMs };
  },
};

test('check tells of files without mistakes how many units they are, and ends with 0', async () => {
  using folder = unitFolder(shop);
  expect(await say(folder, check)).toEqual({ code: 0, out: '5 units, no mistakes\n' });
});

test('check lists every mistake and ends with 3', async () => {
  using folder = unitFolder({ ...shop, 'api.yaml': unit('uzer: x\ncwd: ${dataDri}\n') });
  const { code, out } = await say(folder, check);
  expect(code).toBe(3);
  expect(out).toContain(
    'units/api.yaml:3:1: error: unknown key "uzer"\n  3 | uzer: x\n    | ^~~~\n  hint: did you mean "user"?',
  );
  expect(out).toContain('unknown variable "dataDri"');
  expect(out).toMatch(/\n2 mistakes\n$/);
});

test('check looks at the folder that it is given, and at the graph', async () => {
  using folder = unitFolder({
    ...shop,
    'other/a.yaml': unit('needs: [{hard: b}]\n'),
    'other/b.yaml': unit('needs: [{soft: a}]\n'),
  });
  const { code, out } = await say(folder, check, { args: ['other'] });
  expect(code).toBe(3);
  expect(out).toContain('units wait for each other: a → b → a\n  other/a.yaml:3:9: a needs b (hard)');
});

test('check remarks on what is allowed but says nothing', async () => {
  using folder = unitFolder({ ...shop, 'api.yaml': unit('needs: [{hard: migrate}, {hard: database}]\n') });
  const { code, out } = await say(folder, check);
  expect(code).toBe(0);
  expect(out).toContain('warning: api waits for "database" already through "migrate"');
  expect(out).toMatch(/\n5 units, no mistakes, 1 remark\n$/);
});

test('check --json gives the same as data', async () => {
  using folder = unitFolder({ ...shop, 'api.yaml': unit('uzer: x\n') });
  const { code, out } = await say(folder, check, { options: { json: true } });
  expect(code).toBe(3);
  expect(JSON.parse(out)).toMatchObject({
    ok: false,
    diagnostics: [{ severity: 'error', code: 'unknown-key', line: 3, column: 1, endColumn: 5 }],
  });
});

test('[S7] plan shows order, level and what each unit waits for', async () => {
  using folder = unitFolder(shop);
  expect((await say(folder, plan)).out).toMatchInlineSnapshot(`
    "level  unit      waits for
        0  database  nothing
        0  cache     nothing
        0  metrics   nothing
        1  migrate   database
        2  api       migrate, cache (soft, at most 5.0 s); with metrics
    "
  `);
});

test('plan of a unit shows it and what it brings in', async () => {
  using folder = unitFolder(shop);
  const { out } = await say(folder, plan, { args: ['migrate'], options: { json: true } });
  const { steps } = JSON.parse(out) as { steps: { unit: string }[] };
  expect(steps.map((step) => step.unit)).toEqual(['database', 'migrate']);
});

test('[S8] plan estimates times and the critical path from earlier starts', async () => {
  using folder = unitFolder(shop);
  expect((await say(folder, plan, { source: timed })).out).toMatchInlineSnapshot(`
    "level  unit      start → ready     waits for
        0  database  0 ms → 1.5 s      nothing
        0  cache     0 ms → 0 ms       nothing
        0  metrics   0 ms → 0 ms       nothing
        1  migrate   1.5 s → 1.8 s     database
        2  api       1.8 s → 2.0 s     migrate, cache (soft, at most 5.0 s); with metrics

    all ready after about 2.0 s; database → migrate → api
    "
  `);
});

test('[S8] plan takes its times from the record of the last start; graph does not', async () => {
  using folder = unitFolder(shop);
  const before = await say(folder, graph);
  const unitOf = (name: string, selfMs: number) =>
    ({ name, kind: 'service', state: 'ready', attempts: 1, restarts: 0, selfMs }) as const;
  const units = [unitOf('database', 800), unitOf('migrate', 100), unitOf('cache', 3000)];
  writeRecord(path.join(folder.dir, 'data/starts'), { version: 1, startedAtMs: 0, ready: true, totalMs: 3000, units });
  expect((await say(folder, plan)).out).toContain('all ready after about 3.0 s; cache → api');
  // Else it could not be kept in a repository and compared.
  expect(await say(folder, graph)).toEqual(before);
});

test('plan of a unit that does not exist names the nearest one', async () => {
  using folder = unitFolder(shop);
  await expect(say(folder, plan, { args: ['migrat'] })).rejects.toMatchObject({
    code: 'ERR_UNKNOWN_UNIT',
    message: expect.stringContaining('"migrate"') as string,
  });
});

test('[C7] graph prints DOT, or writes the asked format to a file', async () => {
  using folder = unitFolder(shop);
  expect((await say(folder, graph)).out).toMatch(
    /^digraph "k3s-lite" \{[\s\S]*"api" -> "cache" \[style=dashed[\s\S]*\}\n$/,
  );
  expect((await say(folder, graph, { options: { format: 'text', output: 'graph.txt' } })).out).toBe('');
  expect(readFileSync(path.join(folder.dir, 'graph.txt'), 'utf8')).toContain('──▶ migrate  hard');
});

test('graph of a unit draws it and what it brings in', async () => {
  using folder = unitFolder(shop);
  const { out } = await say(folder, graph, { args: ['migrate'], options: { format: 'json' } });
  expect((JSON.parse(out) as { units: { name: string }[] }).units.map(({ name }) => name)).toEqual([
    'database',
    'migrate',
  ]);
});

test('graph --live asks the running k3s-lite to draw, and says so when none runs', async () => {
  using folder = unitFolder(shop);
  const source: GraphSource = { ...installedGraph, drawLive: (_, format) => Promise.resolve(`live ${format}`) };
  expect((await say(folder, graph, { options: { live: true, format: 'svg' }, source })).out).toBe('live svg');
  await expect(say(folder, graph, { options: { live: true } })).rejects.toMatchObject({ code: 'ERR_CONTROL' });
  await expect(say(folder, graph, { args: ['api'], options: { live: true } })).rejects.toMatchObject({
    code: 'ERR_USAGE',
  });
});

test('graph refuses a format that it does not know, and a file that cannot be written', async () => {
  using folder = unitFolder(shop);
  await expect(say(folder, graph, { options: { format: 'svgg' } })).rejects.toMatchObject({
    code: 'ERR_USAGE',
    message: expect.stringContaining('did you mean "svg"') as string,
  });
  await expect(say(folder, graph, { options: { output: 'no/such/folder/x' } })).rejects.toMatchObject({
    code: 'ERR_USAGE',
  });
});

test('the shipped units are found, and have no mistakes', async () => {
  expect(existsSync(path.join(shippedUnits(), 'kubelet.yaml'))).toBe(true);
  using folder = unitFolder({});
  const { code, out } = await say(folder, check, { options: { units: [shippedUnits()] } });
  expect(out).not.toContain('error:');
  expect(code).toBe(0);
});
