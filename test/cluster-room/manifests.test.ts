import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { KubeApiError } from '../../src/cluster/kube-client.ts';
import { readManifestFolder, type ManifestFolder } from '../../src/cluster/manifests/manifest-folder.ts';
import type { ManifestObjects } from '../../src/cluster/manifests/manifest-objects.ts';
import {
  readManifestRecord,
  writeManifestRecord,
  type ManifestRecord,
} from '../../src/cluster/manifests/manifest-record.ts';
import { keyOf, parseManifest } from '../../src/cluster/manifests/parse-manifest.ts';
import { statusOf } from '../../src/cluster/manifests/serve-manifests.ts';
import { manifestSync } from '../../src/cluster/manifests/sync-manifests.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { temporaryFolder } from './settings-kit.ts';

const object = (name: string, kind = 'ConfigMap') =>
  `---\napiVersion: v1\nkind: ${kind}\nmetadata: { name: ${name} }\n`;

describe('a file', () => {
  test('documents, empty ones and lists give their objects, each with its line', () => {
    const list = 'apiVersion: v1\nkind: List\nitems:\n  - { apiVersion: v1, kind: Pod, metadata: { name: b } }\n';
    const { objects } = parseManifest(`# nothing\n${object('a')}---\n---\n${list}`);
    expect(objects?.map(({ ref, line }) => `${ref.kind} ${ref.name} ${line}`)).toEqual(['ConfigMap a 3', 'Pod b 8']);
  });

  test.each([
    ['a broken YAML', 'a: [\n', { line: 2, column: 1 }],
    ['a key twice', 'a: 1\nb: 2\na: 3\n', { line: 3, column: 1 }],
    [
      'no kind',
      '# a\n\napiVersion: v1\nmetadata: { name: x }\n',
      { line: 3, column: 1, message: expect.stringContaining('kind is missing') as unknown },
    ],
    [
      'no name',
      `${object('a')}---\napiVersion: v1\nkind: Pod\nmetadata: {}\n`,
      { line: 6, column: 1, message: expect.stringContaining('metadata.name') as unknown },
    ],
    [
      'no object',
      'just text\n',
      { line: 1, column: 1, message: expect.stringContaining('no Kubernetes object') as unknown },
    ],
    ['an alias of nothing', 'a: *b\n', { line: 1 }],
    ['broken JSON', '{"apiVersion": "v1",\n "kind": [}', { line: 2 }],
  ])('%s: none of its objects, and the place of the mistake', (_what, text, mistake) => {
    const { objects, mistakes } = parseManifest(text);
    expect(objects).toBeUndefined();
    expect(mistakes?.[0]).toMatchObject(mistake);
  });

  test('one object under two versions, or with and without the default namespace, is one', () => {
    const ref = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'x' };
    expect(keyOf(ref)).toBe(keyOf({ ...ref, apiVersion: 'apps/v2', namespace: 'default' }));
    expect(keyOf(ref)).not.toBe(keyOf({ ...ref, apiVersion: 'v1' }));
    expect(keyOf(ref)).not.toBe(keyOf({ ...ref, namespace: 'other' }));
  });
});

describe('the folder', () => {
  test('manifests, also below; skipped and disabled ones are left out', async () => {
    const folder = temporaryFolder();
    mkdirSync(path.join(folder, 'deep'));
    for (const name of [
      'b.yaml',
      'a.json',
      'c.yml',
      'c.yml.skip',
      'notes.txt',
      '.swp.yaml',
      'deep/d.yaml',
      'off.yaml',
    ]) {
      writeFileSync(path.join(folder, name), name);
    }
    const { files, skipped } = await readManifestFolder(folder, ['off']);
    expect(files.map(({ name }) => name)).toEqual(['a.json', 'b.yaml', 'deep/d.yaml']);
    expect([...skipped]).toEqual(['c.yml']);
  });

  test('one that is not there is empty', async () => {
    expect((await readManifestFolder(path.join(temporaryFolder(), 'none'), [])).files).toEqual([]);
  });
});

test('the record is read as it was written; a damaged one is told, and deletes nothing', async () => {
  const file = path.join(temporaryFolder(), 'manifests.json');
  const record: ManifestRecord = new Map([['a.yaml', [{ apiVersion: 'v1', kind: 'Pod', name: 'x' }]]]);
  await writeManifestRecord(file, record);
  expect(await readManifestRecord(file, () => undefined)).toEqual(record);
  writeFileSync(file, readFileSync(file, 'utf8').slice(0, 9));
  const told: string[] = [];
  expect(await readManifestRecord(file, (text) => told.push(text))).toEqual(new Map());
  expect(told.join()).toContain('is damaged');
});

/** A sync over an API that is a set of names; objects in `refused` are refused, those in `foreign` were there before. */
function world(clock: Parameters<typeof manifestSync>[0]['clock']) {
  const live = new Map<string, string>();
  const refused = new Set<string>();
  const foreign = new Set<string>();
  const calls: string[] = [];
  const lines: string[] = [];
  const record: ManifestRecord = new Map();
  let isAway = false;
  const objects: ManifestObjects = {
    apply(file, { ref }) {
      calls.push(`apply ${ref.name}`);
      if (isAway) return Promise.reject(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }));
      if (refused.has(ref.name)) return Promise.reject(new KubeApiError('PATCH', 422, 'Invalid', 'no good'));
      live.set(ref.name, foreign.has(ref.name) ? '' : file);
      return Promise.resolve(!foreign.has(ref.name));
    },
    deleteMade(file, { name }) {
      calls.push(`delete ${name}`);
      return Promise.resolve(live.get(name) === file && live.delete(name));
    },
  };
  const sync = manifestSync({
    clock,
    record,
    save: () => Promise.resolve(),
    connect: () => Promise.resolve({ ...objects, [Symbol.dispose]: () => undefined }),
    log: (line) => lines.push(line),
  });
  const { signal } = new AbortController();
  return {
    ...{ live, refused, foreign, lines, record },
    calls: () => calls.splice(0),
    setAway(away: boolean) {
      isAway = away;
    },
    look(files: Readonly<Record<string, string>>, skipped: readonly string[] = []) {
      const folder: ManifestFolder = {
        files: Object.entries(files).map(([name, text]) => ({ name, text, hash: text })),
        skipped: new Set(skipped),
        unreadable: new Map(),
      };
      return sync(folder, signal);
    },
  };
}

describe('a look at the folder', () => {
  test('applies what is new, nothing twice, and deletes what a changed or removed file no longer holds', async () => {
    const clock = fakeClock();
    const here = world(clock);
    await here.look({ a: object('one') + object('two'), b: object('three') });
    expect(here.calls()).toEqual(['apply one', 'apply two', 'apply three']);
    await here.look({ a: object('one') + object('two'), b: object('three') });
    expect(here.calls()).toEqual([]);
    await here.look({ a: object('one'), b: object('three') });
    expect(here.calls()).toEqual(['apply one', 'delete two']);
    await here.look({ a: object('one') });
    expect(here.calls()).toEqual(['delete three']);
    expect([...here.live.keys()]).toEqual(['one']);
    expect([...here.record.keys()]).toEqual(['a']);
  });

  test('namespaces come first, then the rest in the order of the files', async () => {
    const clock = fakeClock();
    const here = world(clock);
    await here.look({ a: object('one') + object('space', 'Namespace'), b: object('two') });
    expect(here.calls()).toEqual(['apply space', 'apply one', 'apply two']);
  });

  test('an object that moves from one file to another is not deleted', async () => {
    const clock = fakeClock();
    const here = world(clock);
    await here.look({ a: object('one') + object('two') });
    await here.look({ a: object('one'), b: object('two') });
    await here.look({ b: object('two') });
    expect([...here.live.keys()]).toEqual(['two']);
    expect(here.calls()).not.toContain('delete two');
  });

  test('a file with a mistake deletes nothing, is told with its place, and the others go on', async () => {
    const clock = fakeClock();
    const here = world(clock);
    await here.look({ a: object('one') });
    const report = await here.look({ a: `${object('one')} [`, b: object('two') });
    expect([...here.live.keys()]).toEqual(['one', 'two']);
    expect(statusOf(report)).toMatch(/^1 of 2 files failed: a:5:1: /);
  });

  test('what is refused is tried again after 1, 2 and 4 s, told once, and keeps the rest of its file', async () => {
    const clock = fakeClock();
    const here = world(clock);
    here.refused.add('bad');
    const files = { a: object('bad') + object('good') };
    let report = await here.look(files);
    expect([...here.live.keys()]).toEqual(['good']);
    for (const delayMs of [1000, 2000, 4000]) {
      const waitMs = (report.retryAtMs ?? 0) - clock.monotonicMs();
      expect(waitMs).toBeGreaterThanOrEqual(delayMs * 0.8);
      expect(waitMs).toBeLessThanOrEqual(delayMs * 1.2);
      here.calls();
      await here.look(files);
      expect(here.calls()).toEqual([]);
      await clock.advance(Math.ceil(waitMs));
      report = await here.look(files);
      expect(here.calls()).toEqual(['apply bad', 'apply good']);
    }
    expect(here.lines.filter((line) => line.includes('a:2: ConfigMap bad: '))).toHaveLength(1);
    here.refused.clear();
    await clock.advance(60_000);
    expect(statusOf(await here.look(files))).toBe('2 objects of 1 files applied');
  });

  test('a file that failed is tried again soon after another has been applied', async () => {
    const clock = fakeClock();
    const here = world(clock);
    here.refused.add('bad');
    const files = { a: object('bad') };
    for (let attempt = 0; attempt < 6; attempt += 1) {
      const { retryAtMs = 0 } = await here.look(files);
      await clock.advance(Math.ceil(retryAtMs - clock.monotonicMs()));
    }
    await here.look(files);
    const { retryAtMs = 0 } = await here.look({ ...files, b: object('two') });
    expect(retryAtMs - clock.monotonicMs()).toBeLessThanOrEqual(1000);
  });

  test('what was there before is changed, and never deleted', async () => {
    const clock = fakeClock();
    const here = world(clock);
    here.foreign.add('theirs');
    await here.look({ a: object('theirs') + object('ours') });
    await here.look({});
    expect(here.calls()).toEqual(['apply theirs', 'apply ours', 'delete ours']);
    expect([...here.live.keys()]).toEqual(['theirs']);
  });

  test('a skipped file is left as it is, and applied when it is back', async () => {
    const clock = fakeClock();
    const here = world(clock);
    await here.look({ a: object('one') });
    await here.look({}, ['a']);
    expect([...here.live.keys()]).toEqual(['one']);
    here.calls();
    await here.look({ a: object('one') });
    expect(here.calls()).toEqual(['apply one']);
  });

  test('while the server is away it throws, and what it had not done is done at the next look', async () => {
    const clock = fakeClock();
    const here = world(clock);
    here.setAway(true);
    await expect(here.look({ a: object('one') })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect([...here.record.keys()]).toEqual(['a']);
    here.setAway(false);
    await here.look({ a: object('one') });
    expect([...here.live.keys()]).toEqual(['one']);
  });
});
