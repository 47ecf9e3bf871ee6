/**
 * Runs a program in the foreground and passes signals on, each exactly once.
 *
 * Ctrl-C in `npm start` arrives here twice: the terminal signals its whole foreground group, and npm
 * passes on what it got itself. A second signal means "hurry" to k3s-lite, so it must not see both.
 * The program therefore runs in a session of its own, where only we reach it, and signals of one kind
 * that come close together count as one.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { SetupError } from './say.mjs';

/** Longer than a signal's way through npm, shorter than a person's second thought. */
const sameSignalMs = 400;

/** What the program gets for what we get: a closed terminal means an orderly stop, too. */
const forwarded = { SIGINT: 'SIGINT', SIGTERM: 'SIGTERM', SIGHUP: 'SIGTERM', SIGWINCH: 'SIGWINCH' };

/** Runs it to its end and returns its exit code (128 + n for a signal). Its output is ours unless `capture`. */
export async function run(file, args, { env = process.env, cwd, capture = false } = {}) {
  const stdio = ['ignore', capture ? 'pipe' : 'inherit', capture ? 'pipe' : 'inherit'];
  const child = spawn(file, args, { stdio, env, cwd, detached: true });
  let output = '';
  let interrupted = false;
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  const lastAt = {};
  const listeners = Object.entries(forwarded).map(([received, sent]) => {
    const listener = () => {
      const now = performance.now();
      if (sent !== 'SIGWINCH') {
        if (now - (lastAt[sent] ?? -Infinity) < sameSignalMs) return;
        interrupted = true;
      }
      lastAt[sent] = now;
      child.kill(sent);
    };
    process.on(received, listener);
    return () => process.off(received, listener);
  });
  try {
    const [code, signal] = await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (...end) => resolve(end));
    });
    return { code: code ?? 128 + (constants.signals[signal] ?? 0), output, interrupted };
  } finally {
    for (const stop of listeners) stop();
  }
}

/** A step of the set-up: anything but exit code 0 ends the set-up with `problem`. */
export async function runStep(file, args, problem, options) {
  const result = await run(file, args, options).catch((error) => {
    throw new SetupError(`${problem}\n${error.message}`);
  });
  if (result.interrupted) throw new SetupError('interrupted', 130);
  if (result.code !== 0)
    throw new SetupError(`${problem}${result.output === '' ? '' : `\n${result.output.trimEnd()}`}`);
  return result;
}
