/** Somebody who asks a Service from outside all the time, and how long nobody answered. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';

export interface Answered {
  /** When it was asked, by the monotonic clock. */
  readonly atMs: number;
  readonly text: string;
}

export interface ServiceClient extends AsyncDisposable {
  readonly answers: readonly Answered[];
  /** What the last one said. */
  last(): string | undefined;
  /** Between two that were answered, since then. */
  longestGapMs(sinceMs: number): number;
}

/** @param enter - what becomes a program of the client's machine */
export function serviceClient(enter: readonly string[], url: string): ServiceClient {
  const [program = '', ...before] = enter;
  const script = path.join(import.meta.dirname, 'ask-service.mjs');
  const child = spawn(program, [...before, process.execPath, script, url], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  const answers: Answered[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    const at = line.indexOf(' ');
    answers.push({ atMs: Number(line.slice(0, at)), text: line.slice(at + 1) });
  });
  return {
    answers,
    last: () => answers.at(-1)?.text,
    longestGapMs(sinceMs) {
      const asked = answers.map(({ atMs }) => atMs).sort((a, b) => a - b);
      const from = Math.max(
        1,
        asked.findIndex((atMs) => atMs >= sinceMs),
      );
      return Math.max(0, ...asked.slice(from).map((atMs, at) => atMs - (asked[from + at - 1] ?? atMs)));
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await ended;
    },
  };
}
