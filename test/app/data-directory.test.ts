import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { claimDataDirectory, enterDataDirectory } from '../../src/app/data-directory.ts';
import { pathsOf } from '../../src/app/paths.ts';
import { layoutOf } from '../../src/cluster/layout.ts';
import { createEventStream } from '../../src/event/stream.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { lockHolder } from '../../src/process/lock.ts';
import { fakeGraph } from '../kit/fake-graph.ts';

test('run records in a folder that other users can change are not believed: nothing is claimed', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-claim-'));
  try {
    const dataDir = path.join(folder, 'data');
    const open = path.join(folder, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    const paths = { ...pathsOf({ dataDir, env: {}, uid: 0 }), runDir: path.join(open, 'run') };
    const claim = claimDataDirectory({
      paths,
      graph: fakeGraph('a'),
      wanted: ['a'],
      clock: systemClock,
      events: createEventStream({ clock: systemClock }),
    });
    await expect(claim).rejects.toMatchObject({ code: 'ERR_CONTROL' });
    expect(lockHolder(dataDir)).toBeUndefined();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a file in place of the data directory is said to be one', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-claim-'));
  try {
    const dataDir = path.join(folder, 'data');
    writeFileSync(dataDir, '');
    const paths = { ...pathsOf({ dataDir, env: {}, uid: 0 }), runDir: path.join(folder, 'run') };
    expect(() => enterDataDirectory(paths, systemClock)).toThrow(
      expect.objectContaining({
        code: 'ERR_CONFIG',
        detail: expect.objectContaining({
          hint: expect.stringContaining('a file is where the folder') as string,
        }) as unknown,
      }),
    );
    const below = { ...paths, dataDir: path.join(dataDir, 'below') };
    expect(() => enterDataDirectory(below, systemClock)).toThrow(/ENOTDIR/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('what heartbeats have shown goes when nothing runs that could show it', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-claim-'));
  try {
    const paths = {
      ...pathsOf({ dataDir: path.join(folder, 'data'), env: {}, uid: 0 }),
      runDir: path.join(folder, 'run'),
    };
    const { peerHealth } = layoutOf(paths);
    const record = path.join(paths.runDir, 'runs/peers.json');
    const first = enterDataDirectory(paths, systemClock);
    mkdirSync(path.dirname(record));
    for (const file of [peerHealth, record]) writeFileSync(file, '');
    first[Symbol.dispose]();
    expect(existsSync(peerHealth)).toBe(true);
    const second = enterDataDirectory(paths, systemClock);
    rmSync(record);
    second[Symbol.dispose]();
    expect(existsSync(paths.runDir)).toBe(false);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
