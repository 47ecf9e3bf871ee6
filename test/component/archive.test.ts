import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { extract, pack, type Headers } from 'tar-stream';
import { Readable } from 'node:stream';
import { expect, test, vi } from 'vitest';
import { buildComponents } from '../../src/component/build.ts';
import { exportComponents } from '../../src/component/export.ts';
import { importComponents } from '../../src/component/import.ts';
import { verifyComponents } from '../../src/component/verify.ts';
import { goFixture, hello, helloSource } from './go-fixture.ts';

vi.setConfig({ testTimeout: 120_000 });

/** A built and exported module, and options that import into a second, empty cache. */
async function exported() {
  const fixture = goFixture();
  const { options, folder } = fixture;
  const file = path.join(folder.path, 'components.tar');
  const [built] = await buildComponents(options);
  await exportComponents({ ...options, file });
  const target = { ...options, cache: path.join(folder.path, 'other-cache'), file };
  return {
    folder,
    options,
    file,
    target,
    name: path.basename(built?.folder ?? ''),
    isEmpty: () => !existsSync(target.cache) || readdirSync(target.cache).length === 0,
    [Symbol.dispose]: () => {
      fixture[Symbol.dispose]();
    },
  };
}

interface Member {
  readonly header: Headers;
  readonly content: Buffer;
}

/** Rewrites an archive member by member; returning [] drops one. */
async function rewrite(file: string, change: (member: Member, index: number) => readonly Member[]): Promise<void> {
  const tar = extract();
  Readable.from([readFileSync(file)]).pipe(tar);
  const archive = pack();
  const written = buffer(archive);
  let index = 0;
  for await (const entry of tar) {
    const member = { header: entry.header, content: await buffer(entry) };
    for (const { header, content } of change(member, index)) {
      const { name, mode, type, linkname } = header;
      archive.entry({ name, mode, type, ...(linkname ? { linkname } : {}), size: content.length }, content);
    }
    index += 1;
  }
  archive.finalize();
  writeFileSync(file, await written);
}

const refused = (reason: string) => ({
  code: 'ERR_COMPONENT',
  message: expect.stringContaining(reason) as string,
});

test('what is exported can be imported elsewhere, runs there, and is as it was built', async () => {
  using archive = await exported();
  const [imported] = await importComponents(archive.target);
  expect(imported).toEqual({ artefact: 'hello', folder: path.join(archive.target.cache, archive.name), fresh: true });
  expect(execFileSync(path.join(imported?.folder ?? '', 'hola'), { encoding: 'utf8' })).toBe('hola v1.2.3\n');
  expect(await verifyComponents(archive.target.cache)).toMatchObject([{ artefact: 'hello', damage: [] }]);
  expect(await importComponents(archive.target)).toMatchObject([{ fresh: false }]);
  expect(readdirSync(archive.target.cache)).toEqual([archive.name]);
});

test('an archive with one changed byte is refused, and nothing is written', async () => {
  using archive = await exported();
  await rewrite(archive.file, (member, index) => {
    if (index === 1) member.content[1000] = (member.content[1000] ?? 0) ^ 1;
    return [member];
  });
  await expect(importComponents(archive.target)).rejects.toMatchObject(refused('hello is damaged'));
  expect(archive.isEmpty()).toBe(true);
});

test('a truncated archive is refused, and nothing is written', async () => {
  using archive = await exported();
  const whole = readFileSync(archive.file);
  writeFileSync(archive.file, whole.subarray(0, whole.length / 2));
  await expect(importComponents(archive.target)).rejects.toMatchObject(refused('cannot import components'));
  expect(archive.isEmpty()).toBe(true);
});

test('an archive without a file of its index is refused', async () => {
  using archive = await exported();
  await rewrite(archive.file, (member, index) => (index === 1 ? [] : [member]));
  await expect(importComponents(archive.target)).rejects.toMatchObject(refused('hello is missing'));
  expect(archive.isEmpty()).toBe(true);
});

test.each(['../../escaped', '/tmp/escaped', 'other/escaped'])(
  'a member %s that the index does not list is refused',
  async (name) => {
    using archive = await exported();
    await rewrite(archive.file, (member, index) =>
      index === 0 ? [member, { header: { ...member.header, name }, content: Buffer.from('x') }] : [member],
    );
    await expect(importComponents(archive.target)).rejects.toMatchObject(refused('which its index does not list'));
    expect(archive.isEmpty()).toBe(true);
  },
);

test('an index that names a path instead of a file is refused', async () => {
  using archive = await exported();
  await rewrite(archive.file, ({ header, content }, index) => {
    if (index > 0) return [{ header: { ...header, name: `${archive.name}/../../escaped` }, content }];
    const text = content.toString().replace('"name": "hello"', '"name": "../../escaped"');
    return [{ header, content: Buffer.from(text) }];
  });
  await expect(importComponents(archive.target)).rejects.toMatchObject(refused('its index is not valid'));
  expect(archive.isEmpty()).toBe(true);
});

test('a symbolic link in the place of a file is refused', async () => {
  using archive = await exported();
  await rewrite(archive.file, ({ header, content }, index) =>
    index === 0
      ? [{ header, content }]
      : [{ header: { ...header, type: 'symlink', linkname: '/etc/passwd' }, content: Buffer.alloc(0) }],
  );
  await expect(importComponents(archive.target)).rejects.toMatchObject(refused('which its index does not list'));
  expect(archive.isEmpty()).toBe(true);
});

test('a file that is no archive of ours is refused', async () => {
  using archive = await exported();
  writeFileSync(archive.file, 'just text\n'.repeat(200));
  await expect(importComponents(archive.target)).rejects.toMatchObject(refused('cannot import components'));
});

test('a build from other sources is imported, but said to be of no use here', async () => {
  using archive = await exported();
  archive.folder.write('modules/hello/main.go', helloSource('other'));
  expect(await importComponents(archive.target)).toMatchObject([
    { unusable: 'it was built from other sources than those of this k3s-lite' },
  ]);
});

test('a damaged build is found by verify, and not exported', async () => {
  using archive = await exported();
  const { options, file, name, folder } = archive;
  folder.write(`cache/${name}/hello`, 'something else');
  expect(await verifyComponents(options.cache)).toMatchObject([
    { damage: [expect.stringMatching(/^hello has SHA-256 .*, recorded was /)] },
  ]);
  await expect(exportComponents({ ...options, file: `${file}.2` })).rejects.toMatchObject(refused('hello has SHA-256'));
  expect(existsSync(`${file}.2`)).toBe(false);
});

test('an export of what was not built says how to build it', async () => {
  using fixture = goFixture();
  const { options, folder } = fixture;
  await expect(
    exportComponents({ ...options, artefacts: [hello], file: `${folder.path}/x.tar` }),
  ).rejects.toMatchObject({
    ...refused('hello for'),
    detail: { hint: 'k3s-lite components build --all' },
  });
});
