/**
 * When the kernel begins to ask whether the other end of a silent connection still lives.
 *
 * Not all at the same time: the loopback drops what is more than a thousand packets at once
 * (`net.core.netdev_max_backlog`), and a connection that was not answered ten times in ten seconds, which is how
 * Node.js sets it, is given up. Of 8,000 that were made together, and had the same 30 s, thousands died.
 */
import { jitteredMs } from '../kernel/backoff.ts';

/** Source: K3s's dialer, 30 s. */
const meanMs = 30_000;

/** From half of the mean to half more. @param random - from 0 to 1, exclusive */
export function keepAliveMs(random: () => number): number {
  return Math.round(jitteredMs(meanMs, 0.5, random));
}
