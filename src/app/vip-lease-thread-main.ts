/** What runs in the thread of a node's Lease: constructs its side and connects it to the port. */
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../kernel/clock.ts';
import { runProgram } from '../process/run-program.ts';
import { gateNetlink } from '../vip/actuate/gate-netlink.ts';
import { kernelNetwork } from '../vip/actuate/kernel-network.ts';
import { clusterApi } from '../vip/coordination/cluster-api.ts';
import { serveLeaseThread } from '../vip/lease-thread/serve-lease-thread.ts';
import { threadStart } from '../vip/lease-thread/thread-messages.ts';
import { bootTime } from './boot-time.ts';
import { redirection, renewedClient } from './renewed-client.ts';

const isRedirection = (message: unknown): boolean =>
  typeof message === 'object' && message !== null && 'type' in message && message.type === 'redirect';

if (parentPort === null) throw new Error('internal error: this is no program, but a thread of one');
const port = parentPort;
const { kubeconfig, namespace } = threadStart.parse(workerData);
const clock = systemClock;
// It goes on until the main thread ends this one: also the last write, which gives the Lease back.
const { signal } = new AbortController();
const client = renewedClient(kubeconfig);
const thread = serveLeaseThread({
  lease: {
    api: clusterApi({ connect: () => client.connect(), namespace, clock, signal }),
    clock,
    bootMs: bootTime(clock),
    random: Math.random,
  },
  kernel: kernelNetwork(runProgram, clock),
  netlink: gateNetlink(),
  post: (message) => port.postMessage(message),
});
port.on('message', (message: unknown) => {
  const redirected = redirection.safeParse(message);
  if (redirected.success) client.redirect(redirected.data.url);
  // What cannot be gone to is not gone to; the thread is not there for its mistakes.
  else if (!isRedirection(message)) thread.take(message);
});
