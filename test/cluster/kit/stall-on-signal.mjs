/**
 * Loaded before a program: SIGUSR2 holds its main thread for STALL_MS, as a long computation would, and no other
 * thread of it. Its other threads hang for ever when the file HANG_FILE is there.
 */
import { existsSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const forMs = Number(process.env.STALL_MS);
const hangFile = process.env.HANG_FILE;
const lookEveryMs = 50;
const hang = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

if (isMainThread) {
  process.on('SIGUSR2', () => {
    hang(forMs);
    console.log(`the main thread was held for ${forMs} ms`);
  });
} else if (hangFile !== undefined) {
  setInterval(() => {
    if (existsSync(hangFile)) hang(Infinity);
  }, lookEveryMs).unref();
}
