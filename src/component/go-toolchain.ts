/** The Go toolchain: is it there, is it new enough, and what to do when it is not. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { StartupError } from '../error/startup-error.ts';
import { runProgram } from '../process/run-program.ts';
import { compareVersions, parseVersion } from './version.ts';

export interface GoOptions {
  /** Program to run; see {@link findGo}. */
  readonly go: string;
  /** The module that is to be built: Go may switch to the toolchain that its go.mod asks for. */
  readonly moduleFolder: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The version that will build the module, like "go1.26.8".
 *
 * @throws StartupError ERR_COMPONENT if Go is missing or older than the module asks for
 */
export async function goVersion({ go, moduleFolder, env, signal }: GoOptions): Promise<string> {
  const needed = await neededVersion(moduleFolder);
  let reported: string;
  try {
    const outcome = await runProgram({
      argv: [go, 'env', 'GOVERSION'],
      cwd: moduleFolder,
      env: goEnvironment(env),
      ...(signal === undefined ? {} : { signal }),
    });
    reported = outcome.stdout.trim();
    if (reported === '') throw new Error(outcome.stderr.trim());
  } catch (error) {
    signal?.throwIfAborted();
    throw goError('Go is not installed or does not run', needed, error);
  }
  const [have, want] = [parseVersion(reported), parseVersion(needed)];
  if (have !== undefined && want !== undefined && compareVersions(have, want) < 0) {
    throw goError(`${reported} is too old`, needed);
  }
  return reported;
}

/** Where Go's own archive and distributions put it; a shell that is no login shell often has no PATH to it. */
const usualPlaces = ['/usr/local/go/bin/go', '/usr/lib/go/bin/go', '/snap/bin/go'];

/** The Go program: from PATH, else from a usual place, else the bare name (which then fails with ENOENT). */
export function findGo(env: GoOptions['env']): string {
  const onPath = (env['PATH'] ?? '')
    .split(':')
    .filter(path.isAbsolute)
    .map((folder) => path.join(folder, 'go'));
  return [...onPath, ...usualPlaces].find((file) => existsSync(file)) ?? 'go';
}

/** What `go` runs with: everything of the user's (proxies, caches) but what would change the result. */
export function goEnvironment(env: GoOptions['env'], goArch?: string): Record<string, string | undefined> {
  return {
    ...env,
    GOWORK: 'off',
    GOFLAGS: '-mod=readonly',
    CGO_ENABLED: '0',
    // Some distributions turn the default off; a user's own choice stands.
    GOTOOLCHAIN: env['GOTOOLCHAIN'] ?? 'auto',
    ...(goArch === undefined ? {} : { GOOS: 'linux', GOARCH: goArch }),
  };
}

async function neededVersion(moduleFolder: string): Promise<string> {
  const text = await readFile(path.join(moduleFolder, 'go.mod'), 'utf8');
  return /^go (\S+)/m.exec(text)?.[1] ?? '1.26';
}

function goError(problem: string, needed: string, cause?: unknown): StartupError {
  return new StartupError(
    'ERR_COMPONENT',
    `cannot build components: ${problem}; Go ${needed} or newer is needed`,
    {
      component: 'go',
      needed,
      hint:
        `Install Go ${needed} from the Go project's download page, or any Go since 1.21 with GOTOOLCHAIN=auto, which then fetches what it needs. ` +
        'Without Go: `k3s-lite components export FILE` on a machine that has it, `k3s-lite components import FILE` here.',
    },
    cause === undefined ? {} : { cause },
  );
}
