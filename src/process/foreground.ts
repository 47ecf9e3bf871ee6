/** Runs a program in our place, with our terminal: `k3s-lite kubectl …`. */
import { constants } from 'node:os';
import { execa } from 'execa';
import { exitOf } from './exit-of.ts';
import { findProgram, explainFailedSpawn } from './find-program.ts';

export interface ForegroundOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Passed on. */
const forwarded = ['SIGTERM', 'SIGHUP', 'SIGUSR2', 'SIGCONT'] as const;
/** A terminal sends these to the program too, which decides for both of us. */
const fromTerminal = ['SIGINT', 'SIGQUIT'] as const;

/**
 * @returns its exit code; 128 + n when signal n ended it, as shells do
 * @throws an Error whose `code` is the errno name if it cannot be run
 */
export async function foreground(argv: readonly string[], { env }: ForegroundOptions): Promise<number> {
  const [program = '', ...args] = argv;
  const file = findProgram(program, process.cwd(), env['PATH']);
  const listeners: [NodeJS.Signals, () => void][] = [];
  const forward = (signal: NodeJS.Signals, isMeant: () => boolean) => {
    const listener = () => {
      if (isMeant()) child.kill(signal);
    };
    process.on(signal, listener);
    listeners.push([signal, listener]);
  };
  // Before the program starts: a signal that comes in between would end us and leave it alone.
  for (const signal of forwarded) forward(signal, () => true);
  for (const signal of fromTerminal) forward(signal, () => !process.stdin.isTTY);
  const child = execa(file, args, {
    stdio: 'inherit',
    env,
    extendEnv: false,
    cleanup: false,
    reject: false,
    buffer: false,
    // It decides itself how long it takes to leave.
    forceKillAfterDelay: false,
  });
  try {
    if (child.pid === undefined) throw explainFailedSpawn(file, [file, ...args]);
    const exit = exitOf(await child);
    if (exit.kind === 'code') return exit.code;
    return exit.kind === 'signal' ? 128 + constants.signals[exit.signal as NodeJS.Signals] : 1;
  } finally {
    for (const [signal, listener] of listeners) process.off(signal, listener);
  }
}
