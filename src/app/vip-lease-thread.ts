/**
 * Starts the thread that holds a node's Lease (vip/lease-thread): a loop of its own, with its own connection to
 * the API and its own processes of nft, so that nothing that the main thread does delays a renewal.
 */
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { systemClock } from '../kernel/clock.ts';
import { leaseThreadClient, type LeaseThreadClient } from '../vip/lease-thread/lease-thread-client.ts';
import type { ThreadStart } from '../vip/lease-thread/thread-messages.ts';
import type { Redirection } from './renewed-client.ts';

export interface VipLeaseThread extends Pick<LeaseThreadClient, 'holdOwn' | 'gate'>, AsyncDisposable {
  /** As of a `RenewedClient`. */
  redirect(url: string | undefined): void;
}

export interface VipLeaseThreadOptions extends ThreadStart {
  /** It hangs, or has ended, and not because we wished it. The kernel closes the gate at the deadline. */
  readonly onGone: (reason: Error) => void;
}

export function vipLeaseThread({ onGone, ...start }: VipLeaseThreadOptions): VipLeaseThread {
  // Beside the bundle: scripts/build.mjs makes it of app/vip-lease-thread-main.ts.
  const file = fileURLToPath(new URL('vip-lease-thread.cjs', import.meta.url));
  const worker = new Worker(file, { workerData: start });
  let isOver = false;
  const gone = (reason: Error) => {
    if (isOver) return;
    isOver = true;
    client.gone(reason);
    onGone(reason);
  };
  const client = leaseThreadClient({
    post: (message) => worker.postMessage(message),
    clock: systemClock,
    onMissed: gone,
  });
  worker.on('message', (message: unknown) => client.take(message));
  worker.on('error', (error) => gone(error instanceof Error ? error : new Error(String(error))));
  worker.on('exit', (code) => gone(new Error(`the thread of the node’s Lease has ended with ${String(code)}`)));
  return {
    holdOwn: client.holdOwn,
    gate: client.gate,
    redirect: (url) => worker.postMessage({ type: 'redirect', url } satisfies Redirection),
    async [Symbol.asyncDispose]() {
      isOver = true;
      client[Symbol.dispose]();
      await worker.terminate();
    },
  };
}
