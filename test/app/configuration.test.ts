import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { readConfiguration } from '../../src/app/configuration.ts';

test('a configuration file that cannot be read is a mistake of configuration that names it', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-configuration-'));
  try {
    const file = path.join(folder, 'config.yaml');
    mkdirSync(file);
    const reading = readConfiguration({ options: { config: file }, env: {}, cwd: folder, uid: 0 });
    await expect(reading).rejects.toMatchObject({
      code: 'ERR_CONFIG',
      message: expect.stringContaining(file) as string,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.each([
  ['the command line', { options: { dataDir: '' }, env: {} }],
  ['the environment', { options: {}, env: { K3S_LITE_DATA_DIR: '' } }],
])('an empty data directory of %s is refused: the working folder would be it', async (_where, given) => {
  await expect(readConfiguration({ ...given, cwd: tmpdir(), uid: 0 })).rejects.toMatchObject({
    code: 'ERR_CONFIG',
    message: expect.stringContaining('data-dir is empty') as string,
  });
});
