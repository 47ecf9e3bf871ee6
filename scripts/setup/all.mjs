/** Everything that has to be there before k3s-lite or its tests can run, in order; quick when it is. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildMissingComponents } from './components.mjs';
import { installPackages } from './debian.mjs';
import { installNodeModules, requireNode } from './node-modules.mjs';
import { buildSources } from './sources.mjs';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** Only root can run pods: namespaces, cgroups, mounts, iptables. */
export const isRoot = process.getuid?.() === 0;

export async function setUp({ tests = false } = {}) {
  await requireNode(root);
  await installNodeModules(root);
  await buildSources(root);
  await installPackages({ node: isRoot, tests });
  await buildMissingComponents(root, { node: isRoot });
}
