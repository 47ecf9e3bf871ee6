/** The images of `npm run image`: made, or taken from the cache, as a person would. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { minimalConfig, nodeConfig } from '../../../scripts/image/recipes.mjs';
import type { Image } from './container-engine.ts';

const root = path.resolve(import.meta.dirname, '../../..');

const imageOf = (name: string, { Entrypoint, Env }: typeof nodeConfig): Image => ({
  name,
  entrypoint: Entrypoint,
  env: Env,
});
export const nodeImage = imageOf('k3s-lite.local/node:latest', nodeConfig);
export const minimalImage = imageOf('k3s-lite.local/minimal:latest', minimalConfig);

/** @returns the archive's path */
export function makeImage(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [path.join(root, 'scripts/image.mjs'), ...args], {
    encoding: 'utf8',
    cwd: root,
    timeout: 600_000,
  });
  if (status !== 0) throw new Error(`npm run image: ${stdout}${stderr}`);
  return stdout.trim().split('\n').at(-1) ?? '';
}
