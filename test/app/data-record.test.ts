import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { dataLayout, openData, type Present } from '../../src/app/data-record.ts';

const present: Present = {
  k3sLite: '1.2.0',
  kubernetes: '1.36.3',
  etcd: '3.6.8',
  nodeName: 'one',
  nodeIp: '192.0.2.1',
};

function directory(record?: object | string): string {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'k3s-lite-record-'));
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
  const text = typeof record === 'string' ? record : JSON.stringify(record);
  if (record !== undefined) writeFileSync(path.join(dataDir, 'version.json'), text);
  return dataDir;
}

const stored = (dataDir: string) => JSON.parse(readFileSync(path.join(dataDir, 'version.json'), 'utf8')) as unknown;
const open = (dataDir: string, change: Partial<Present> = {}, allowDowngrade = false) =>
  openData({ dataDir, present: { ...present, ...change }, allowDowngrade });
const before = { layout: dataLayout, ...present };

describe('what is recorded', () => {
  test('a new directory gets its record, for its owner alone, and the next start has nothing to say or write', () => {
    const dataDir = directory();
    open(dataDir).record();
    expect(stored(dataDir)).toEqual(before);
    expect(statSync(path.join(dataDir, 'version.json')).mode & 0o777).toBe(0o600);
    const { ino } = statSync(path.join(dataDir, 'version.json'));
    const again = open(dataDir);
    expect(again.remarks).toEqual([]);
    again.record();
    expect(statSync(path.join(dataDir, 'version.json')).ino).toBe(ino);
    expect(readdirSync(dataDir)).toEqual(['version.json']);
  });

  test('what is not part of a start stays recorded of the one before', () => {
    const dataDir = directory(before);
    openData({ dataDir, present: { k3sLite: '1.3.0' }, allowDowngrade: false }).record();
    expect(stored(dataDir)).toEqual({ ...before, k3sLite: '1.3.0' });
  });

  test('a directory that is not there is not made', () => {
    const dataDir = path.join(directory(), 'missing');
    expect(open(dataDir).remarks).toEqual([]);
    expect(existsSync(dataDir)).toBe(false);
  });
});

describe('refused', () => {
  test('a newer layout, whatever else its record says, also with allowDowngrade', () => {
    const dataDir = directory({ layout: dataLayout + 1, k3sLite: '9.0.0', etcd: { version: 4 } });
    for (const allow of [false, true]) {
      expect(() => open(dataDir, {}, allow)).toThrow(
        expect.objectContaining({
          code: 'ERR_DATA_VERSION',
          message: `cannot use ${dataDir}: k3s-lite 9.0.0 wrote it in layout ${dataLayout + 1}, and this is 1.2.0, which knows layout ${dataLayout}`,
        }),
      );
    }
  });

  test.each([
    ['an older minor of Kubernetes', { kubernetes: '1.35.9' }, 'Kubernetes 1.36.3 wrote it, and Kubernetes 1.35.9'],
    ['an older minor of etcd', { etcd: '3.5.24' }, 'etcd 3.6.8 wrote it, and etcd 3.5.24'],
    ['an older major', { etcd: '2.9.0' }, 'etcd 3.6.8 wrote it'],
  ])('%s, unless it is allowed', (_what, change, message) => {
    const dataDir = directory(before);
    expect(() => open(dataDir, change)).toThrow(message);
    const { record } = open(dataDir, change, true);
    record();
    expect(stored(dataDir)).toEqual({ ...before, ...change });
  });
});

describe('taken', () => {
  test.each([
    ['an older patch', { kubernetes: '1.36.1' }, 'the data was written by Kubernetes 1.36.3; this is 1.36.1'],
    ['a newer minor', { kubernetes: '1.37.0' }, 'the data was written by Kubernetes 1.36.3; this is 1.37.0'],
    ['another k3s-lite', { k3sLite: '1.0.0' }, 'the data was written by k3s-lite 1.2.0; this is 1.0.0'],
    ['another address', { nodeIp: '192.0.2.7' }, 'this node’s address is 192.0.2.7 and was 192.0.2.1'],
    ['another name', { nodeName: 'two' }, 'this node is called two and was called one'],
  ])('%s, and one line says so', (_what, change, line) => {
    const { remarks } = open(directory(before), change);
    expect(remarks).toEqual([expect.objectContaining({ text: expect.stringContaining(line) as unknown })]);
  });

  test('a version that a program does not tell is compared with nothing', () => {
    const { kubernetes: _, ...rest } = present;
    expect(openData({ dataDir: directory(before), present: rest, allowDowngrade: false }).remarks).toEqual([]);
  });

  test.each([
    ['no JSON', '{"layout":'],
    ['JSON of something else', '{"layout":"one"}'],
    ['an empty file, as a power-off leaves it', ''],
  ])('a damaged record (%s): it is explained, and mended', (_what, text) => {
    const dataDir = directory(text);
    const { remarks, record } = open(dataDir);
    expect(remarks).toEqual([
      { level: 'warning', text: expect.stringContaining('version.json does not say') as unknown },
    ]);
    record();
    expect(stored(dataDir)).toEqual(before);
  });
});
