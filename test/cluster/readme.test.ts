/**
 * README.md as a reader follows it: its files and commands as printed, as a plain user, with a real
 * PostgreSQL. The ports are those of the text.
 */
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { plainUser, type PlainUser, type Running } from './plain-user.ts';
import { blocksOf, commandsOf, filesOf } from './readme-blocks.ts';

const root = path.resolve(import.meta.dirname, '../..');
const blocks = blocksOf('A graph of your own');
const files = filesOf(blocks);
const [check = [], up = []] = commandsOf(blocks);
const dataDir = up.at(-1) ?? '';
const ports = [15_432, 18_080, 19_187];

const statusSchema = z.object({
  ready: z.boolean(),
  units: z.array(z.object({ unit: z.string(), state: z.string(), generation: z.number(), pid: z.number().optional() })),
});

/** The programs of the text are where it says: Debian 12. Elsewhere nothing of it can be tried. */
const canRun = existsSync('/usr/lib/postgresql/15/bin/postgres');

describe.skipIf(!canRun)('README: a graph of your own', () => {
  let user: PlainUser;
  let running: Running;

  const statusOf = () => {
    const { output } = user.run(['k3s-lite', 'status', '--json', '--data-dir', dataDir]);
    const { ready, units } = statusSchema.parse(JSON.parse(output));
    return { ready, units: new Map(units.map((each) => [each.unit, each])) };
  };
  const generations = () =>
    [...statusOf().units.values()].map(({ unit, generation }) => `${unit} ${String(generation)}`);
  const body = async (url: string) => (await fetch(url)).text();
  const psql = (sql: string) => {
    const ended = user.run([
      'psql',
      '-tA',
      '-h',
      '127.0.0.1',
      '-p',
      '15432',
      '-U',
      'shop',
      '-d',
      'postgres',
      '-c',
      sql,
    ]);
    expect(ended.code, ended.output).toBe(0);
  };

  beforeAll(async () => {
    await requireFree(ports);
    user = plainUser();
    for (const [name, text] of files) user.write(name, text);
  });
  afterAll(async () => {
    await user[Symbol.asyncDispose]();
  });

  test('its text has the files and the two commands', () => {
    expect([...files.keys()]).toEqual([
      ...[
        'shop/database-files.yaml',
        'shop/database.yaml',
        'shop/migration.yaml',
        'shop/api.yaml',
        'shop/metrics.yaml',
      ],
      'shop/api.mjs',
    ]);
    expect([check.join(' '), up.join(' ')]).toEqual([
      'k3s-lite check shop',
      'k3s-lite up --units shop --data-dir ./shop-data',
    ]);
  });

  test('`check` finds no mistake', () => {
    const { code, output } = user.run(check);
    expect(code, output).toBe(0);
  });

  test('[C6] [S7] `up` brings it up in graph order, from nothing', async () => {
    running = user.start(up);
    await running.line('everything is ready');
    expect(statusOf().ready).toBe(true);
    const { output } = user.run(['k3s-lite', 'graph', '--units', 'shop', '--data-dir', dataDir, '--format', 'text']);
    for (const name of ['database-files', 'database', 'migration', 'api', 'metrics']) expect(output).toContain(name);
  });

  test('the API counts, the exporter tells of the database', async () => {
    expect(await body('http://127.0.0.1:18080/')).toBe('0\n');
    psql("INSERT INTO orders (what) VALUES ('tea')");
    expect(await body('http://127.0.0.1:18080/')).toBe('1\n');
    await expect.poll(() => body('http://127.0.0.1:19187/metrics'), { timeout: 10_000 }).toMatch(/^pg_up 1$/m);
  });

  test('a killed database comes back by itself, and the API, which must not outlive it, with it', async () => {
    expect(generations()).toContain('api 1');
    const pid = statusOf().units.get('database')?.pid;
    if (pid === undefined) throw new Error('`status --json` does not tell the pid of the database');
    process.kill(pid, 'SIGKILL');
    await expect
      .poll(generations, { timeout: 20_000 })
      .toEqual(expect.arrayContaining(['database 2', 'api 2', 'metrics 1', 'migration 1']));
    await expect.poll(() => statusOf().ready, { timeout: 20_000 }).toBe(true);
    expect(await body('http://127.0.0.1:18080/')).toBe('1\n');
  });

  test('[S7] it came in the order of its edges; Ctrl-C stops it in the opposite one and leaves nothing', async () => {
    running.signal('SIGINT');
    const { code, output } = await running.ended;
    expect(code, output).toBe(0);
    const units = (what: RegExp) => output.split('\n').flatMap((line) => what.exec(line)?.[1] ?? []);
    const came = units(/^\+\S+ (\S+) (?:ready|done) \(/).filter((name) => name !== 'metrics');
    expect(came).toEqual(['database-files', 'database', 'migration', 'api']);
    const went = units(/^\+\S+ (\S+) stopped$/);
    expect(went.indexOf('api')).toBeLessThan(went.indexOf('database'));
    expect(user.processes()).toEqual([]);
    await requireFree(ports);
  });

  test('a second `up` finds the data of the first', async () => {
    running = user.start(up);
    await running.line('everything is ready');
    expect(await body('http://127.0.0.1:18080/')).toBe('1\n');
    running.signal('SIGINT');
    expect((await running.ended).code).toBe(0);
  });

  describe('the library’s example', () => {
    const [block] = blocksOf('As a library').filter(({ language }) => language === 'ts');
    const example = (folder: string) =>
      `const dataDir = ${JSON.stringify(path.join(folder, dataDir))};\n${block?.text ?? ''}`;

    test('has the types of the package', () => {
      expect(existsSync(path.join(root, 'dist/types/index.d.ts')), 'dist/types: npm run build').toBe(true);
      user.write('example.mts', example(user.folder));
      const program = ts.createProgram([path.join(user.folder, 'example.mts')], {
        ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noEmit: true },
        ...{ module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2023, lib: ['lib.esnext.d.ts'] },
        ...{ skipLibCheck: true, typeRoots: [path.join(root, 'node_modules/@types')], types: ['node'] },
      });
      const mistakes = ts.getPreEmitDiagnostics(program);
      expect(mistakes.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([]);
    });

    test('[S2] [S3] [S8] runs against the package: readiness by channel, state as it changes', async () => {
      const { outputText } = ts.transpileModule(example(user.folder), {
        compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
      });
      user.write('example.mjs', outputText);
      const { code, output } = await user.start(['node', 'example.mjs']).ended;
      expect(code, output).toBe(0);
      expect(output).toBe('1 ready [] undefined');
      expect(user.processes()).toEqual([]);
    });
  });
});

/** @throws when somebody listens there, and says so */
async function requireFree(wanted: readonly number[]): Promise<void> {
  for (const port of wanted) {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', () => {
        reject(new Error(`port ${String(port)} of 127.0.0.1, which README.md uses, is held by another program`));
      });
      server.listen(port, '127.0.0.1', resolve);
    });
    await new Promise((resolve) => server.close(resolve));
  }
}
