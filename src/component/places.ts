/** Where components lie: the cache of our own builds, and the Go modules that are shipped with the package. */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { StartupError } from '../error/startup-error.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** `${XDG_CACHE_HOME:-~/.cache}/k3s-lite/components`. Source: XDG Base Directory Specification. */
export function componentCache(env: Env): string {
  // The specification says that a relative path is to be ignored.
  const xdg = env['XDG_CACHE_HOME'];
  const base = xdg !== undefined && path.isAbsolute(xdg) ? xdg : path.join(env['HOME'] ?? homedir(), '.cache');
  return path.join(base, 'k3s-lite', 'components');
}

/**
 * The folder components/ of this package: found by walking up, because this code runs from src/,
 * from dist/ and from a chunk below dist/.
 *
 * @throws StartupError ERR_COMPONENT if the package was installed without it
 */
export function modulesFolder(from: string = import.meta.url): string {
  const start = path.dirname(fileURLToPath(from));
  for (let folder = start; ; folder = path.dirname(folder)) {
    const candidate = path.join(folder, 'components');
    if (existsSync(path.join(candidate, 'kubernetes', 'go.mod'))) return candidate;
    if (path.dirname(folder) === folder) break;
  }
  throw new StartupError('ERR_COMPONENT', `cannot find the Go modules of the components above ${start}`, {
    component: 'components',
    hint: 'The npm package holds them in its folder components/: install it again.',
  });
}

const goArchByNodeArch: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  ppc64: 'ppc64le',
};

/** This machine's architecture as Go calls it (arm64, s390x and riscv64 have one name in both worlds). */
export function hostGoArch(nodeArch: string = process.arch): string {
  return goArchByNodeArch[nodeArch] ?? nodeArch;
}
