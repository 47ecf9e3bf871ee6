import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StartupError } from '../../src/error/startup-error.ts';
import { diagnosticsError, diagnosticsOf, renderDiagnostic } from '../../src/unit/diagnostic.ts';
import { badUnits } from './bad-units.ts';
import { unit, unitFolder } from './unit-folder.ts';

test('[S7] every kind of mistake is told with its place, the line and what to do (golden file)', async () => {
  const parts: string[] = [];
  for (const { title, files, disable = [] } of badUnits) {
    using folder = unitFolder(files);
    const said = await folder.mistakes({ disable, dropInDirs: [`${folder.dir}/units.d`] });
    parts.push(`=== ${title}\n\n${said}\n`);
  }
  await expect(parts.join('\n')).toMatchFileSnapshot('diagnostics.golden.txt');
});

test.each(badUnits)('each place of "$title" is a place of its file', async ({ files, disable = [] }) => {
  using folder = unitFolder(files);
  const result = await folder.load({ disable, dropInDirs: [`${folder.dir}/units.d`] });
  for (const { file, line, column, endColumn, excerpt } of result.ok ? result.value.warnings : result.error) {
    if (line === 0) continue;
    const content = Object.entries(files).find(([name]) => file.endsWith(`/${name}`))?.[1];
    const text = (content ?? '').toString().split(/\r?\n/)[line - 1];
    expect(excerpt).toBe(text);
    expect(column).toBeGreaterThanOrEqual(1);
    expect(column).toBeLessThanOrEqual((text ?? '').length + 1);
    expect(endColumn).toBeGreaterThan(column);
  }
});

test('what is no plain file in a unit folder is told and never waited for', async () => {
  using folder = unitFolder({ 'ok.yaml': unit() });
  const units = `${folder.dir}/units`;
  symlinkSync('loop.yaml', `${units}/loop.yaml`);
  symlinkSync('nowhere.yaml', `${units}/dangling.yaml`);
  symlinkSync('/dev/zero', `${units}/endless.yaml`);
  mkdirSync(`${units}/folder.yaml`);
  execFileSync('mkfifo', [`${units}/pipe.yaml`]);
  expect(await folder.mistakes()).toBe(
    [
      'dangling.yaml: error: does not exist',
      'endless.yaml: error: is not a regular file',
      'folder.yaml: error: is a folder, not a unit file',
      'loop.yaml: error: is a loop of symbolic links',
      'pipe.yaml: error: is not a regular file',
    ].join('\n\n'),
  );
});

test('a link to a unit file is the unit file', async () => {
  using folder = unitFolder({ 'elsewhere/x.yaml': unit('cwd: /x\n') });
  symlinkSync('../elsewhere/x.yaml', `${folder.dir}/units/linked.yaml`);
  expect((await folder.units()).units).toMatchObject([{ name: 'linked', cwd: '/x' }]);
});

test('a folder that does not exist is an error', async () => {
  using folder = unitFolder({});
  expect(await folder.mistakes({ dirs: [`${folder.dir}/none`] })).toBe('none: error: does not exist');
});

test('a mistake in an override shows the override', async () => {
  using folder = unitFolder({ 'etcd.yaml': unit() });
  const overrides = new Map([
    ['etcd', { flags: { a: '${nodeNam}' } }],
    ['etdc', { flags: { a: '1' } }],
  ]);
  expect(await folder.mistakes({ overrides })).toMatchInlineSnapshot(`
    "(command line): warning: there is no unit "etdc" to change
      hint: did you mean "etcd"?

    (options for etcd):1:1: error: unknown variable "nodeNam"
      1 | flags: {"a": "\${nodeNam}"}
        | ^
      hint: did you mean "\${nodeName}"?"
  `);
});

test('the thrown form has the diagnostics and names the first in its message', async () => {
  using folder = unitFolder({ 'a.yaml': unit('uzer: x\nkwd: y\n') });
  const result = await folder.load();
  if (result.ok) throw new Error('expected mistakes');
  const error = diagnosticsError('ERR_UNIT_FILE', result.error);
  expect(error).toBeInstanceOf(StartupError);
  expect(error.exitCode).toBe(3);
  expect(error.message.replace(folder.dir, '')).toBe(
    'cannot load the unit files: /units/a.yaml:3:1: unknown key "uzer" (and 1 more)',
  );
  expect(diagnosticsOf(error)).toBe(result.error);
  expect(JSON.parse(JSON.stringify(error))).toMatchObject({
    code: 'ERR_UNIT_FILE',
    diagnostics: [{ code: 'unknown-key' }, {}],
  });
});

test('a rendered diagnostic sends no control characters of the file to the terminal', () => {
  const text = renderDiagnostic({
    severity: 'error',
    code: 'yaml',
    message: 'wrong',
    file: 'a.yaml',
    line: 1,
    column: 3,
    endColumn: 5,
    excerpt: '\u001b[2J\u009b\u0007x\ty',
  });
  expect(text).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
});

const fragment = fc.oneof(
  fc.constantFrom(
    'about: A\n',
    'run: [a]\n',
    'needs:\n',
    '  - hard: b\n',
    '  - soft: c\n    maxWait: 5s\n',
    'ready: ',
    '{all: [{tcp: x}]}\n',
    'health:\n',
    '  every: 5s\n',
    '${dataDir}',
    '${x',
    '$${',
    '[',
    ']',
    '{',
    '}',
    ': ',
    '- ',
    '&a ',
    '*a',
    '!t ',
    '|\n',
    '? ',
    '"',
    "'",
    '#',
    '\t',
    '---\n',
    '__proto__: {a: 1}\n',
    'constructor: 1\n',
    'toString: x\n',
  ),
  fc.string({ unit: 'binary', maxLength: 5 }),
);

test('whatever text a unit file and a drop-in hold, the loader answers with a unit or with diagnostics', async () => {
  using folder = unitFolder({});
  await fc.assert(
    fc.asyncProperty(
      fc.array(fragment, { maxLength: 20 }),
      fc.array(fragment, { maxLength: 6 }),
      async (own, dropIn) => {
        folder.write('a.yaml', own.join(''));
        folder.write('units.d/a/x.yaml', dropIn.join(''));
        const result = await folder.load({ dropInDirs: [`${folder.dir}/units.d`] });
        if (result.ok) expect([...(result.value.units[0]?.places.keys() ?? [])]).toContain('about');
        else
          expect(
            result.error
              .filter(({ severity }) => severity === 'error')
              .map((each) => renderDiagnostic(each))
              .join(''),
          ).not.toBe('');
      },
    ),
    { numRuns: Number(process.env['FAST_CHECK_RUNS'] ?? 1500) },
  );
});
