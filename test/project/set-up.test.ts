/** The set-up of `npm start` and `npm test`: it does what is needed, and nothing when nothing is. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';

/** The scripts are plain JavaScript: nothing can be compiled before the set-up has run. */
const script = async <T>(name: string) =>
  (await import(pathToFileURL(path.join(import.meta.dirname, '../../scripts/setup', name)).href)) as T;
const { matchesLockfile } = await script<{ matchesLockfile: (root: string) => Promise<boolean> }>('node-modules.mjs');
const { buildSources } = await script<{ buildSources: (root: string) => Promise<void> }>('sources.mjs');

function clone() {
  const root = mkdtempSync(path.join(tmpdir(), 'k3s-lite-set-up-'));
  const file = (name: string) => path.join(root, name);
  return {
    root,
    file,
    write(name: string, content: unknown) {
      mkdirSync(path.dirname(file(name)), { recursive: true });
      writeFileSync(file(name), typeof content === 'string' ? content : JSON.stringify(content));
    },
    [Symbol.dispose]: () => {
      rmSync(root, { recursive: true, force: true });
    },
  };
}

describe('node_modules', () => {
  const locked = {
    packages: {
      '': { version: '0.1.0' },
      'node_modules/zod': { version: '4.6.7' },
      'node_modules/@esbuild/darwin-arm64': { version: '0.28.2', optional: true },
    },
  };
  const installed = (version: string) => ({ packages: { 'node_modules/zod': { version } } });

  test('matches when every package has the locked version; one of another platform may be absent', async () => {
    using folder = clone();
    folder.write('package-lock.json', locked);
    folder.write('node_modules/.package-lock.json', installed('4.6.7'));
    expect(await matchesLockfile(folder.root)).toBe(true);
  });

  test.each([
    ['a package is of another version', installed('4.6.6')],
    ['a package is absent', { packages: {} }],
    ['an installation was interrupted', ''],
  ])('does not match when %s', async (_name, present) => {
    using folder = clone();
    folder.write('package-lock.json', locked);
    folder.write('node_modules/.package-lock.json', present);
    expect(await matchesLockfile(folder.root)).toBe(false);
  });

  test('does not match in a fresh clone', async () => {
    using folder = clone();
    folder.write('package-lock.json', locked);
    expect(await matchesLockfile(folder.root)).toBe(false);
  });
});

describe('dist/', () => {
  /** A clone whose build script counts. */
  function buildable() {
    const folder = clone();
    for (const name of ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.types.json'])
      folder.write(name, {});
    folder.write('src/room/a.ts', 'export const a = 1;\n');
    for (const name of ['bin/k3s-lite.js', 'scripts/code-cache.mjs']) folder.write(name, '');
    folder.write(
      'scripts/build.mjs',
      `import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
appendFileSync('builds', 'x');
mkdirSync('dist', { recursive: true });
for (const name of ['cli', 'up']) writeFileSync(\`dist/\${name}.cjs.cache\`, '');
`,
    );
    return { ...folder, builds: () => readFileSync(folder.file('builds'), 'utf8').length };
  }

  test('is built once, and again only when a source has another content', async () => {
    using folder = buildable();
    await buildSources(folder.root);
    await buildSources(folder.root);
    expect(folder.builds()).toBe(1);
    utimesSync(folder.file('src/room/a.ts'), new Date(), new Date());
    await buildSources(folder.root);
    expect(folder.builds()).toBe(1);
    folder.write('src/room/a.ts', 'export const a = 2;\n');
    await buildSources(folder.root);
    expect(folder.builds()).toBe(2);
    folder.write('src/room/b.ts', '');
    await buildSources(folder.root);
    expect(folder.builds()).toBe(3);
  });

  test('is built again when somebody removed it', async () => {
    using folder = buildable();
    await buildSources(folder.root);
    rmSync(folder.file('dist'), { recursive: true });
    await buildSources(folder.root);
    expect(folder.builds()).toBe(2);
  });

  test('a failed build says so and is tried again the next time', async () => {
    using folder = buildable();
    const good = readFileSync(folder.file('scripts/build.mjs'), 'utf8');
    folder.write('scripts/build.mjs', 'process.exitCode = 1;\n');
    await expect(buildSources(folder.root)).rejects.toThrow('the build failed');
    folder.write('scripts/build.mjs', good);
    await buildSources(folder.root);
    expect(folder.builds()).toBe(1);
  });
});
