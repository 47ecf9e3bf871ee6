/** Standard output and error of this process. A reader that went away (`| head`) is no error. */
import type { Io } from './command.ts';

/** A file or a pipe has no width: nothing is wrapped for it. */
const unlimitedColumns = 10_000;

export function processIo(): Io {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
  const { env, stdout, stderr } = process;
  const forced = env['FORCE_COLOR'] !== undefined && env['FORCE_COLOR'] !== '0';
  return {
    out: (text) => void stdout.write(text),
    err: (text) => void stderr.write(text),
    outIsTty: stdout.isTTY,
    errIsTty: stderr.isTTY,
    columns: stdout.columns || unlimitedColumns,
    colour: forced || (stdout.isTTY && env['NO_COLOR'] === undefined && env['TERM'] !== 'dumb'),
  };
}
