/** The documentation is true: its generated parts are up to date, and what it names exists. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { commandRows } from '../../src/cli/commands.ts';

const root = path.resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const pages = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(path.join(root, 'docs'), { encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

const { demands, isReal, whatWorks } = (await import(
  pathToFileURL(path.join(root, 'scripts/what-works.mjs')).href
)) as {
  demands: Readonly<Record<string, string>>;
  isReal: (file: string) => boolean;
  whatWorks: (report: object, root: string) => { table: string; unproven: string[] };
};

test('everything that `npm run docs` makes is up to date', () => {
  execFileSync(process.execPath, [path.join(root, 'scripts/docs.mjs'), '--check'], { cwd: root, stdio: 'pipe' });
});

describe('what works', () => {
  const [, table = ''] = /<!-- start:what-works -->\n(.*?)<!-- end/s.exec(read('README.md')) ?? [];
  const files = readdirSync(path.join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => `test/${file}`);

  test('the table has a row for each demand and no other', () => {
    const ids = [...table.matchAll(/^\| ([A-Z]\d+) \|/gm)].map(([, id]) => id);
    expect(ids).toEqual(Object.keys(demands));
  });

  test('each file that it names carries the id of its row', () => {
    for (const [row, id = ''] of table.matchAll(/^\| ([A-Z]\d+) \|.*$/gm)) {
      for (const [, file = ''] of row.matchAll(/\]\((test\/[^)]+)\)/g)) {
        expect(read(file), `${file} and ${id}`).toContain(`[${id}]`);
      }
    }
  });

  test.each(Object.keys(demands))('%s has a test on real processes', (id) => {
    expect(files.filter(isReal).filter((file) => read(file).includes(`[${id}]`))).not.toEqual([]);
  });

  test('counts passed tests alone, and says which demands have none on real processes', () => {
    const result = (name: string, assertionResults: readonly object[]) => ({
      name: path.join(root, name),
      assertionResults,
    });
    const assertion = (title: string, status: string) => ({ title, fullName: title, status });
    const every = files.filter((file) => !file.startsWith('test/long/')).map((file) => result(file, []));
    const { table: made, unproven } = whatWorks(
      {
        testResults: [
          ...every,
          result('test/cluster/a.test.ts', [
            assertion('[S1] it is so', 'passed'),
            assertion('[S2] skipped', 'skipped'),
          ]),
          result('test/unit/b.test.ts', [assertion('[S1] also', 'passed'), assertion('[S3] too small', 'passed')]),
        ],
      },
      root,
    );
    expect(made).toContain(`| S1 | ${demands['S1'] ?? ''} | [a](test/cluster/a.test.ts): it is so | 1 |`);
    expect(unproven).toEqual(Object.keys(demands).filter((id) => id !== 'S1'));
  });

  test('is not made from the report of a part of the tests', () => {
    expect(() => whatWorks({ testResults: [] }, root)).toThrow('run `npm test` to its end');
  });
});

describe.each(pages)('%s', (page) => {
  const text = read(page);
  const prose = text.replaceAll(/^```.*?^```$/gms, '');

  test('links to files and headings that exist', () => {
    for (const [, target = ''] of prose.matchAll(/\]\(([^)]+)\)/g)) {
      if (/^(?:https?|mailto):/.test(target)) continue;
      const [file = '', anchor] = target.split('#');
      const linked = file === '' ? page : path.join(path.dirname(page), file);
      expect(existsSync(path.join(root, linked)), target).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(read(linked)), target).toContain(anchor);
    }
  });

  test('shows only commands and options that exist', () => {
    const lines = [...text.matchAll(/^```(?:console|sh)\n(.*?)^```$/gms)].flatMap(([, block = '']) =>
      block.split('\n'),
    );
    const inline = [...prose.matchAll(/`(k3s-lite [^`]*)`/g)].map(([, code = '']) => code);
    for (const line of [...lines.map((each) => each.replace(/^\$ (?:sudo )?/, '')), ...inline]) {
      const [program, name = '', ...words] = line.split(/[ ]+/);
      if (program !== 'k3s-lite' || !/^[a-z]/.test(name)) continue;
      const row = commandRows.find((each) => each.name === name || each.aliases?.includes(name) === true);
      expect(row, line).toBeDefined();
      if (row === undefined || row.passThrough === true) continue;
      const known = row.options.flatMap(({ flags }) => flags.match(/--[a-z-]+/g) ?? []);
      for (const word of words) {
        if (word === '#') break;
        const [flag] = /^--[a-z][a-z-]+/.exec(word) ?? [];
        if (flag !== undefined) expect([...known, '--help'], line).toContain(flag);
      }
    }
  });
});

test('ARCHITECTURE.md names files that exist', () => {
  const text = read('ARCHITECTURE.md');
  const rooms = readdirSync(path.join(root, 'src'));
  for (const [, file = ''] of text.matchAll(/`([\w/.-]+\.(?:ts|mjs|md|json|yaml))`/g)) {
    const [room = ''] = file.split('/');
    expect(existsSync(path.join(root, rooms.includes(room) ? `src/${file}` : file)), file).toBe(true);
  }
  const told = [...text.matchAll(/^\| `(\w+)\/` \|/gm)].map(([, room]) => room);
  expect([...told].sort()).toEqual(rooms.filter((name) => !name.endsWith('.ts')).sort());
});

/** As GitHub makes them: lower case, words joined by dashes, other signs dropped. */
function anchorsOf(markdown: string): string[] {
  return [...markdown.replaceAll(/^```.*?^```$/gms, '').matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
