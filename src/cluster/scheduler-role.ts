/**
 * The `scheduler-role` builtin: waits until kube-apiserver lets kube-scheduler read.
 *
 * A new cluster's kube-apiserver makes its roles one after another, for a second and more, and is not
 * ready before the last. The scheduler's comes in the middle. Started before it, the scheduler's
 * watches would be refused and wait 0.8 s and more before each retry; started when everything is
 * ready, it begins together with all else that waited for that.
 */
import { backoffDelayMs } from '../kernel/backoff.ts';
import { sleep, type Clock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/message-of.ts';
import { saidOnce } from '../kernel/said-once.ts';
import type { Builtin } from '../unit/builtin.ts';
import type { Connect } from './api-objects.ts';
import { KubeApiError } from './kube-client.ts';

/** One of the things that its role names (Kubernetes `system:kube-scheduler`); its bindings are made together. */
const readable = '/api/v1/nodes?limit=1';
/** Each answer costs a server that is busy starting about a millisecond. */
const pace = { firstMs: 20, factor: 1.02, maxMs: 250, jitter: 0.1 };

/** @param connect as the scheduler itself */
export function schedulerRoleBuiltin({
  clock,
  connect,
}: {
  readonly clock: Clock;
  readonly connect: Connect;
}): Builtin {
  return async ({ signal, log }) => {
    using client = await connect();
    const say = saidOnce(log);
    for (let attempt = 1; ; attempt += 1) {
      try {
        await client.get(readable, signal);
        return;
      } catch (error) {
        signal.throwIfAborted();
        // No certificate of ours is refused for a while only.
        if (error instanceof KubeApiError && error.status === 401) throw error;
        say(messageOf(error));
      }
      await sleep(clock, backoffDelayMs(pace, attempt, Math.random), signal);
    }
  };
}
