import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import {
  applyKernelSettings,
  kernelSettings,
  restoreKernelSettings,
  type KernelFiles,
} from '../../src/cluster/kernel-settings.ts';
import { temporaryFolder } from './settings-kit.ts';

/** A /proc/sys of our own, with `found` in every setting that is not named. */
function machine(values: Readonly<Record<string, string>> = {}, found = '0') {
  const folder = temporaryFolder();
  const root = path.join(folder, 'sys');
  const lines: string[] = [];
  for (const { name } of kernelSettings) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), `${values[name] ?? found}\n`);
  }
  const files: KernelFiles = {
    root,
    previousFile: path.join(folder, 'undo/kernel.json'),
    log: (line) => void lines.push(line),
  };
  return { files, lines, root, read: (name: string) => readFileSync(path.join(root, name), 'utf8').trim() };
}

test('what differs is set, and given back as it was found', async () => {
  const { files, read } = machine({ 'kernel/panic': '7' });
  await applyKernelSettings(files);
  expect(read('net/ipv4/ip_forward')).toBe('1');
  expect(read('kernel/panic')).toBe('10');
  await restoreKernelSettings(files);
  expect(read('net/ipv4/ip_forward')).toBe('0');
  expect(read('kernel/panic')).toBe('7');
  expect(existsSync(files.previousFile)).toBe(false);
});

test('a start after a crash does not take our own values for the machine’s', async () => {
  const { files, read } = machine();
  await applyKernelSettings(files);
  writeFileSync(path.join(files.root, 'kernel/panic'), '3');
  await applyKernelSettings(files);
  await restoreKernelSettings(files);
  expect(read('net/ipv4/ip_forward')).toBe('0');
  expect(read('kernel/panic')).toBe('0');
});

test('nothing is written when all is as wanted, and a larger limit is left alone', async () => {
  const wanted = Object.fromEntries(kernelSettings.map(({ name, value }) => [name, value]));
  const { files, read } = machine({ ...wanted, 'kernel/keys/root_maxkeys': '2000000' });
  await applyKernelSettings(files);
  expect(existsSync(files.previousFile)).toBe(false);
  expect(read('kernel/keys/root_maxkeys')).toBe('2000000');
  await restoreKernelSettings(files);
});

test('a missing setting that a node can do without is explained; ip_forward is not done without', async () => {
  const { files, lines, root } = machine();
  rmSync(path.join(root, 'net/bridge'), { recursive: true });
  await applyKernelSettings(files);
  expect(lines.join('\n')).toContain('this kernel does not have it');
  expect(lines.join('\n')).toContain('module br_netfilter');
  rmSync(path.join(root, 'net/ipv4'), { recursive: true });
  await expect(applyKernelSettings(files)).rejects.toThrow('pods reach nothing outside their node');
});
