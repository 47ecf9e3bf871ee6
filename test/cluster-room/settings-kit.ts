/** Settings in a temporary folder that is removed after the test. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import type { Machine } from '../../src/cluster/machine.ts';
import { resolveSettings, type Settings } from '../../src/cluster/settings.ts';
import { type SettingsInput } from '../../src/cluster/settings-schema.ts';

export const machine: Machine = {
  hostname: 'node1',
  defaultInterface: 'eth0',
  addresses: [
    { interface: 'lo', address: '127.0.0.1', internal: true },
    { interface: 'eth1', address: '198.51.100.7', internal: false },
    { interface: 'eth0', address: '192.0.2.10', internal: false },
  ],
  canLowerOomScore: true,
  openFilesLimit: 20_000,
};

export function settingsIn(dataDir: string, input: SettingsInput = {}): Settings {
  return resolveSettings(input, { dataDir, runDir: path.join(dataDir, 'run'), searchPath: [], machine });
}

export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-cluster-'));
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}
