import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import {
  listSnapshots,
  removeSnapshot,
  surplusSnapshots,
  writeSnapshotRecord,
  type SnapshotRecord,
} from '../../../src/cluster/etcd/snapshot-folder.ts';
import { seriesOf, snapshotName } from '../../../src/cluster/etcd/snapshot-name.ts';
import { temporaryFolder } from '../settings-kit.ts';

const record: SnapshotRecord = {
  version: 1,
  nodeName: 'node1',
  createdMs: 1_700_000_005_000,
  sizeBytes: 4,
  sha256: 'ab',
  clusterId: 'c',
  etcdVersion: '3.6.8',
  revision: 7,
};

function put(folder: string, name: string, createdMs: number, content = 'data'): string {
  const file = path.join(folder, name);
  writeFileSync(file, content);
  utimesSync(file, createdMs / 1000, createdMs / 1000);
  return file;
}

test('a name tells series, node and time, and the series can be had from it', () => {
  const name = snapshotName('before-upgrade', 'node-1', 1_700_000_000_999);
  expect(name).toBe('before-upgrade-node-1-1700000000');
  expect(seriesOf(name)).toBe('before-upgrade-node-1');
  expect(seriesOf('copied-from-elsewhere')).toBe('copied-from-elsewhere');
});

test('the list has what is there, newest first, with its record only while the file is the one that was saved', async () => {
  const folder = temporaryFolder();
  expect(await listSnapshots(path.join(folder, 'none'))).toEqual([]);
  const saved = put(folder, 'a-node1-1700000005', 1);
  await writeSnapshotRecord(saved, record);
  put(folder, 'foreign', 1_700_000_009_000);
  const changed = put(folder, 'b-node1-1700000001', 1_700_000_001_000, 'other data');
  await writeSnapshotRecord(changed, record);
  put(folder, '.a-node1-1700000006.new', 1);
  put(folder, 'c-node1-1700000007.json', 1, 'not json');
  mkdirSync(path.join(folder, 'folder'));
  const listed = await listSnapshots(folder);
  expect(listed.map(({ name }) => name)).toEqual(['foreign', 'a-node1-1700000005', 'b-node1-1700000001']);
  expect(listed.map((each) => each.record)).toEqual([undefined, record, undefined]);
  for (const each of listed) await removeSnapshot(each);
  expect(await listSnapshots(folder)).toEqual([]);
});

test('of each series the newest stay; what has no time in its name is never surplus', async () => {
  const folder = temporaryFolder();
  for (const at of [1, 2, 3, 4]) {
    put(folder, `etcd-snapshot-node1-170000000${String(at)}`, 1_700_000_000_000 + at * 1000);
    put(folder, `on-demand-node1-170000000${String(at)}`, 1_700_000_000_000 + at * 1000);
  }
  put(folder, 'golden', 1000);
  const all = await listSnapshots(folder);
  const names = (keep: number, series?: (name: string) => boolean) =>
    surplusSnapshots(all, keep, series).map(({ name }) => name);
  expect(names(2).sort()).toEqual([
    'etcd-snapshot-node1-1700000001',
    'etcd-snapshot-node1-1700000002',
    'on-demand-node1-1700000001',
    'on-demand-node1-1700000002',
  ]);
  expect(names(3, (series) => series === 'on-demand-node1')).toEqual(['on-demand-node1-1700000001']);
  expect(names(0)).toHaveLength(8);
  expect(names(9)).toEqual([]);
});
