/**
 * Whether this machine's API server is ready, asked at a steady pace: what the node says of itself decides
 * whether it may have the API servers' address. The list of API servers that Kubernetes keeps is no use
 * for that: one that was killed stays on it for 15 s. Source: kube-apiserver, lease of `--endpoint-reconciler-type`.
 */
import { sleep, type Clock } from '../kernel/clock.ts';
import type { Probe } from '../probe/probe.ts';
import { checkWithin } from '../probe/until-ready.ts';
import { shortestCallMs, type Timing } from './coordination/timing.ts';

export interface FollowApiServerOptions {
  readonly probe: Probe;
  readonly clock: Clock;
  readonly answerWithinMs: number;
  /** At the first answer, and whenever it is another one. */
  readonly onChange: (isReady: boolean) => void;
  readonly signal: AbortSignal;
}

/** A request that ends well costs an API server a few milliseconds. */
export const lookEveryMs = 500;
/** One that has failed is looked at sooner. */
export const failedLookEveryMs = 200;
/** So many in a row, as Kubernetes' probes have it: an API server under load misses one now and then. */
export const failuresUntilUnready = 3;
/**
 * One that hangs has to be known while a renewal that waits for it can still be made elsewhere: several looks
 * fit into the time that a renewal may be tried. It answers within milliseconds, so no more than a second is waited.
 */
export const answerWithinMs = ({ renewDeadlineMs }: Pick<Timing, 'renewDeadlineMs'>): number =>
  Math.min(Math.max(Math.floor(renewDeadlineMs / 8), shortestCallMs), 1000);

/** Until the signal aborts; then rejects with its reason. */
export async function followApiServer({
  probe,
  clock,
  answerWithinMs: limitMs,
  onChange,
  signal,
}: FollowApiServerOptions): Promise<never> {
  let told: boolean | undefined;
  let failures = 0;
  for (;;) {
    const isReady = await checkWithin(probe, clock, limitMs, signal).then(
      () => true,
      () => false,
    );
    signal.throwIfAborted();
    failures = isReady ? 0 : failures + 1;
    const isNews = isReady ? told !== true : told === undefined || (told && failures >= failuresUntilUnready);
    if (isNews) {
      told = isReady;
      onChange(isReady);
    }
    await sleep(clock, isReady ? lookEveryMs : failedLookEveryMs, signal);
  }
}
