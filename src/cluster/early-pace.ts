/**
 * How often a kube-apiserver that is starting is asked by who wants to be early: at first every 10 ms, because
 * a refused connection costs next to nothing, then ever more rarely, because an answer costs the server a
 * millisecond. What comes after two seconds is noticed 20 ms late at most.
 */
import type { Clock } from '../kernel/clock.ts';

const firstMs = 10;
const lateShare = 0.01;
/** Source: design, Probes: at most 250 ms during a start. */
const capMs = 250;

/** Gives the delay in milliseconds before each further question; it begins now. */
export function earlyPace(clock: Pick<Clock, 'monotonicMs'>): () => number {
  const beganMs = clock.monotonicMs();
  return () => Math.min(Math.max(firstMs, (clock.monotonicMs() - beganMs) * lateShare), capMs);
}
