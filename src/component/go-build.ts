/** One run of `go build`: its command line, its progress, and what its failure means. */
import path from 'node:path';
import { describeExit } from '../error/readiness-error.ts';
import { StartupError } from '../error/startup-error.ts';
import type { Clock } from '../kernel/clock.ts';
import { runProgram } from '../process/run-program.ts';
import { goEnvironment } from './go-toolchain.ts';
import type { Artefact } from './manifest.ts';
import { goBuildFlags } from './source-key.ts';

/** Progress is told this often, also while the linker works for half a minute without a word. */
const tellEveryMs = 1000;

/** Lines of Go's output in an error: a compiler's first error is what matters, and Go stops after ten. */
const keptLines = 20;

export interface GoBuildRequest {
  readonly artefact: Artefact;
  readonly go: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly goArch: string;
  readonly modules: string;
  /** Empty folder for the binaries. */
  readonly output: string;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  readonly estimateMs: number;
  readonly tell: (step: string, estimateMs?: number) => void;
}

/**
 * @throws StartupError ERR_COMPONENT with Go's last lines if the build fails
 * @throws the signal's reason when it aborts, after Go and its compilers have ended
 */
export async function runGoBuild(request: GoBuildRequest): Promise<void> {
  const { artefact, go, env, goArch, modules, output, clock, signal, estimateMs, tell } = request;
  const progress = progressOf(artefact);
  const lines: string[] = [];
  const tick = () => {
    tell(progress.step, estimateMs);
    timer = clock.timer(tellEveryMs, tick);
  };
  let timer: Disposable = clock.timer(tellEveryMs, tick);
  tell(progress.step, estimateMs);
  try {
    const { exit } = await runProgram({
      argv: [go, 'build', '-v', ...goBuildFlags(artefact), '-o', outputOf(artefact, output), ...artefact.packages],
      cwd: path.join(modules, artefact.module),
      env: goEnvironment(env, goArch),
      clock,
      ...(signal === undefined ? {} : { signal }),
      onLine: (line) => {
        if (progress.take(line)) return;
        lines.push(line);
        if (lines.length > keptLines) lines.shift();
      },
    });
    if (exit.kind === 'code' && exit.code === 0) return;
    throw buildError(artefact, `go build ${describeExit(exit)}`, lines);
  } finally {
    timer[Symbol.dispose]();
  }
}

/** A single package is named by us; with several, `-o folder/` names each after its package. */
function outputOf({ output }: Artefact, folder: string): string {
  return output === undefined ? `${folder}/` : path.join(folder, output);
}

interface BuildProgress {
  readonly step: string;
  /** True if the line was progress: `go: downloading module version`, or (by -v) a package's path. */
  take(line: string): boolean;
}

function progressOf({ name }: Artefact): BuildProgress {
  let downloaded = 0;
  let compiled = 0;
  let step = `go build of ${name}`;
  return {
    get step() {
      return step;
    },
    take(line) {
      const download = /^go: downloading (\S+)/.exec(line);
      if (download !== null) {
        downloaded += 1;
        step = `downloading modules: ${String(downloaded)}, ${download[1] ?? ''}`;
        return true;
      }
      if (!/^[\w.~-]+(?:\/[\w.~-]+)*$/.test(line)) return false;
      compiled += 1;
      step = `compiling packages: ${String(compiled)}, ${line}`;
      return true;
    },
  };
}

function buildError({ name }: Artefact, reason: string, lines: readonly string[]): StartupError {
  const text = lines.join('\n');
  return new StartupError(
    'ERR_COMPONENT',
    `cannot build ${name}: ${reason}${lines[0] === undefined ? '' : `: ${lines[0]}`}`,
    {
      component: name,
      lastLogLines: lines,
      hint: hintFor(text),
    },
  );
}

/** The usual causes, by what Go says about them. */
function hintFor(output: string): string {
  if (/no space left on device/.test(output)) {
    return 'The build of Kubernetes needs about 4 GB for the caches of Go (GOCACHE, GOMODCACHE) and 0.5 GB in the temporary folder.';
  }
  if (/signal: killed/.test(output))
    return 'The system ended the compiler, most likely for want of memory: 2 GB are needed.';
  if (/dial tcp|lookup .* no such host|proxyconnect|i\/o timeout|connection refused/.test(output)) {
    return 'The modules could not be downloaded: check the network and GOPROXY, or bring the binaries by `k3s-lite components import FILE`.';
  }
  if (/checksum mismatch|missing go\.sum entry/.test(output)) {
    return 'What was downloaded is not what go.sum pins: check GOPROXY, then `go clean -modcache`.';
  }
  return 'The lines above are of the Go compiler; the build starts where it left off when run again.';
}
