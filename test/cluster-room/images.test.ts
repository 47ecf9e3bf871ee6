import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { importImagesBuiltin } from '../../src/cluster/images.ts';
import type { Settings } from '../../src/cluster/settings.ts';
import type { BuiltinContext } from '../../src/unit/builtin.ts';
import { fakeUnit } from '../kit/fake-graph.ts';
import { settingsIn, temporaryFolder } from './settings-kit.ts';

/** A node with a pause program and two archives, and a ctr that remembers what it was asked. */
function node() {
  const dataDir = temporaryFolder();
  const pauseProgram = path.join(dataDir, 'pause');
  const settings: Settings = { ...settingsIn(dataDir), pauseProgram };
  const images = path.join(dataDir, 'agent/images');
  for (const folder of [images, path.join(dataDir, 'agent/containerd')]) mkdirSync(folder, { recursive: true });
  writeFileSync(pauseProgram, 'pause');
  for (const name of ['a.tar', 'b.tar', 'notes.txt']) writeFileSync(path.join(images, name), name);
  const asked: string[] = [];
  const broken = new Set<string>();
  const context: BuiltinContext = {
    unit: fakeUnit('images'),
    generation: 1,
    args: [],
    snapshotOf: () => {
      throw new Error('not asked for');
    },
    run(argv) {
      const name = path.basename(argv.at(-1) ?? '');
      asked.push(name);
      const code = broken.has(name) ? 1 : 0;
      return Promise.resolve({ exit: { kind: 'code', code }, output: code === 1 ? 'ctr: unexpected EOF\n' : '' });
    },
    log: () => undefined,
    signal: new AbortController().signal,
  };
  const start = async () => {
    asked.length = 0;
    await importImagesBuiltin(settings)(context);
    return [...asked];
  };
  return { settings, images, broken, start };
}

const pause = 'k3s-lite-local-pause-1.tar';

test('the sandbox image and every archive are imported once', async () => {
  const { start } = node();
  expect(await start()).toEqual([pause, 'a.tar', 'b.tar']);
  expect(await start()).toEqual([]);
});

test('an archive that has changed, and only that one, is imported again', async () => {
  const { start, images } = node();
  await start();
  utimesSync(path.join(images, 'b.tar'), new Date(0), new Date(1000));
  expect(await start()).toEqual(['b.tar']);
});

test('a broken archive is told with ctr’s last line, keeps no other from its place, and is tried again', async () => {
  const { start, broken } = node();
  broken.add('a.tar');
  await expect(start()).rejects.toThrow(/cannot import .*a\.tar: ctr exited with code 1: ctr: unexpected EOF/);
  broken.clear();
  expect(await start()).toEqual(['a.tar']);
});

test('without a pause program the missing component is named', async () => {
  const { settings } = node();
  const builtin = importImagesBuiltin({ ...settings, pauseProgram: undefined });
  await expect(builtin({} as BuiltinContext)).rejects.toMatchObject({ code: 'ERR_COMPONENT' });
});
