/** Loaded before a program: SIGUSR2 holds its main thread for STALL_MS, as a long computation would, and no other thread of it. */
import { isMainThread } from 'node:worker_threads';

const forMs = Number(process.env.STALL_MS);

if (isMainThread) {
  process.on('SIGUSR2', () => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, forMs);
    console.log(`the main thread was held for ${forMs} ms`);
  });
}
