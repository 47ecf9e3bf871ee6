/**
 * Standard output and error of this process. What they cannot take is no reason to end a supervisor:
 * a reader that went away (`| head`), a closed terminal (EIO), a full disk (ENOSPC).
 */
import type { Io } from './command.ts';

/** A file or a pipe has no width: nothing is wrapped for it. */
const unlimitedColumns = 10_000;

export interface ProcessIo extends Io {
  /** Something of the output could not be written, and not because its reader went away. Known when all of it has been tried. */
  hasLostOutput(): Promise<boolean>;
}

export function processIo(): ProcessIo {
  const { env, stdout, stderr } = process;
  const err = writerTo(stderr, () => undefined);
  let hasLostOutput = false;
  const out = writerTo(stdout, (error) => {
    hasLostOutput = true;
    err(`k3s-lite: cannot write to standard output: ${error.message}\n`);
  });
  const isTerminal = isTty(stdout);
  const forced = env['FORCE_COLOR'] !== undefined && env['FORCE_COLOR'] !== '0';
  return {
    out,
    err,
    // Nothing can be drawn on a dumb terminal: it gets what a file gets.
    outIsTty: isTerminal && env['TERM'] !== 'dumb',
    errIsTty: isTty(stderr),
    columns: stdout.columns || unlimitedColumns,
    colour: forced || (isTerminal && env['NO_COLOR'] === undefined && env['TERM'] !== 'dumb'),
    async hasLostOutput() {
      // Of a file too Node.js tells the failure in a later turn.
      await new Promise<void>((resolve) => {
        stdout.write('', () => {
          resolve();
        });
      });
      return hasLostOutput;
    },
  };
}

/**
 * Of a pipe or a file `isTTY` is undefined, whatever its type says; picocolors would take that for "find
 * out yourself", and colours everything where CI is set.
 */
function isTty({ isTTY }: { readonly isTTY?: boolean | undefined }): boolean {
  return isTTY === true;
}

/** Writes until it fails, by event (pipe, terminal) or by throwing (file): then nothing more is written or kept. */
function writerTo(stream: NodeJS.WriteStream, onLost: (error: Error) => void): (text: string) => void {
  let isLost = false;
  const lose = (error: NodeJS.ErrnoException) => {
    if (isLost) return;
    isLost = true;
    if (error.code !== 'EPIPE') onLost(error);
  };
  stream.on('error', lose);
  return (text) => {
    if (isLost) return;
    try {
      stream.write(text);
    } catch (error) {
      lose(error as NodeJS.ErrnoException);
    }
  };
}
