/** exec: a short program that exits with 0. It is run by the process room, which alone spawns. */
import { describeExit, type Exit } from '../error/readiness-error.ts';
import { oneLine } from './outcome.ts';
import { ProbeFailure, type Probe } from './probe.ts';

/** Runs a program to its end; its group is killed when `signal` aborts. */
export type RunToEnd = (
  argv: readonly string[],
  signal: AbortSignal,
) => Promise<{ readonly exit: Exit; readonly output: string }>;

export function execProbe(argv: readonly string[], runToEnd: RunToEnd): Probe {
  const program = argv[0] ?? '';
  return {
    describe: () => `exec ${program.slice(program.lastIndexOf('/') + 1)}`,
    // Each attempt is a process: at most 20 a second, and never more than a fifth of the time.
    pace: { kind: 'eager', capMs: 50, forMs: 5_000, restRatio: 4 },
    async check(signal) {
      const { exit, output } = await run(argv, signal, runToEnd);
      if (exit.kind === 'code' && exit.code === 0) return;
      const said = oneLine(output.trimEnd().split('\n').at(-1) ?? '');
      throw new ProbeFailure(said === '' ? describeExit(exit) : `${describeExit(exit)}: ${said}`);
    },
  };
}

async function run(argv: readonly string[], signal: AbortSignal, runToEnd: RunToEnd) {
  try {
    return await runToEnd(argv, signal);
  } catch (cause) {
    if (signal.aborted) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    const hint = code === 'ENOENT' ? `${argv[0] ?? ''} was not found: is it installed, and on PATH?` : undefined;
    throw new ProbeFailure(code ?? message, { hint, cause });
  }
}
