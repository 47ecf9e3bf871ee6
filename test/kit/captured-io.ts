/** The input and output of a command that a test runs in its own process: no terminal, and all of it kept. */
import type { Io } from '../../src/cli/command.ts';

export interface CapturedIo {
  readonly io: Io;
  out(): string;
  err(): string;
  /** Both, in the order in which they were written. */
  all(): string;
}

export function capturedIo({ columns = 80 }: { readonly columns?: number } = {}): CapturedIo {
  let [out, err, all] = ['', '', ''];
  const io: Io = {
    out(text) {
      out += text;
      all += text;
    },
    err(text) {
      err += text;
      all += text;
    },
    outIsTty: false,
    errIsTty: false,
    columns,
    colour: false,
  };
  return { io, out: () => out, err: () => err, all: () => all };
}
