/** Node itself and node_modules: installed when they are not what package-lock.json says. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { runStep } from './run.mjs';
import { heading, SetupError } from './say.mjs';

/** package.json's `engines.node` is ">=major.minor". */
export async function requireNode(root) {
  const { engines } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'));
  const [major, minor] = /(\d+)\.(\d+)/.exec(engines.node).slice(1).map(Number);
  const [hasMajor, hasMinor] = process.versions.node.split('.').map(Number);
  if (hasMajor > major || (hasMajor === major && hasMinor >= minor)) return;
  throw new SetupError(
    `k3s-lite needs Node ${engines.node}; this is ${process.version}. Install a newer one (nodejs.org, or a version manager: nvm install ${major}).`,
  );
}

export async function installNodeModules(root) {
  if (await matchesLockfile(root)) return;
  heading('node modules (npm ci)');
  // Under npm its own program is known; `npm` on PATH may be another one or none.
  const npm = process.env.npm_execpath;
  const [file, first] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []];
  await runStep(file, [...first, 'ci', '--include=dev', '--no-audit', '--no-fund'], 'npm ci failed', { cwd: root });
}

/**
 * Compares versions in package-lock.json with the list that npm keeps inside node_modules, which it
 * writes last: an interrupted installation has none. Optional packages may be of other platforms.
 */
export async function matchesLockfile(root) {
  const [wanted, present] = await Promise.all(
    ['package-lock.json', 'node_modules/.package-lock.json'].map(async (file) => {
      try {
        return JSON.parse(await readFile(path.join(root, file), 'utf8')).packages;
      } catch {
        return undefined;
      }
    }),
  );
  if (wanted === undefined || present === undefined) return false;
  return Object.entries(wanted).every(
    ([place, { version, optional }]) => place === '' || optional || present[place]?.version === version,
  );
}
