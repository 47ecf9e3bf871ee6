/**
 * The `scheduler-role` builtin: waits until kube-apiserver lets kube-scheduler read.
 *
 * A new cluster's kube-apiserver makes its roles one after another, for a second and more, and is not
 * ready before the last. The scheduler's comes in the middle. Started before it, the scheduler's
 * watches would be refused and wait 0.8 s and more before each retry; started when everything is
 * ready, it begins together with all else that waited for that.
 */
import { sleep, type Clock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/message-of.ts';
import { saidOnce } from '../kernel/said-once.ts';
import type { Builtin } from '../unit/builtin.ts';
import type { Connect } from './api-objects.ts';
import { earlyPace } from './early-pace.ts';
import { KubeApiError } from './kube-client.ts';

/** One of the things that its role names (Kubernetes `system:kube-scheduler`); its bindings are made together. */
const readable = '/api/v1/nodes?limit=1';
/** @param connect as the scheduler itself */
export function schedulerRoleBuiltin({
  clock,
  connect,
}: {
  readonly clock: Clock;
  readonly connect: Connect;
}): Builtin {
  return async ({ snapshotOf, signal, log }) => {
    using client = await connect();
    const say = saidOnce(log);
    const pace = earlyPace(clock);
    for (;;) {
      // All roles are made by then: what is refused after that stays refused, and is not ours to judge.
      const isLast = snapshotOf('kube-apiserver').state === 'ready';
      try {
        await client.get(readable, signal);
        return;
      } catch (error) {
        signal.throwIfAborted();
        // No certificate of ours is refused for a while only.
        if (error instanceof KubeApiError && error.status === 401) throw error;
        say(messageOf(error));
        if (isLast && error instanceof KubeApiError) return;
      }
      await sleep(clock, pace(), signal);
    }
  };
}
