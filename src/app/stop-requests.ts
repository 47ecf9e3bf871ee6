/** Who wants `up` to end: a signal, `down` through the control socket, the time limit. The first one counts. */
import { deferred } from '../kernel/deferred.ts';

/** The reason of a stop that came through the control socket. */
export const askedFor = 'down was asked for';

/** The reason of a stop that `down` makes by itself, because nobody is there to do it. */
export const killedReason = 'k3s-lite was killed';

/** The reason of a stop because a start that somebody waits for took longer than its budget. */
export const overBudget = 'over budget';

export interface StopRequests {
  /** Settles with the reason of the first request. */
  readonly requested: Promise<string>;
  readonly isRequested: boolean;
  /** Aborts when somebody is in a hurry. */
  readonly hurry: AbortSignal;
  request(options: { readonly reason: string; readonly hurry?: boolean }): void;
  /** A request through the control socket. */
  stop(options: { readonly hurry: boolean }): void;
}

export function stopRequests(): StopRequests {
  const first = deferred<string>();
  let isRequested = false;
  const hurry = new AbortController();
  const request: StopRequests['request'] = ({ reason, hurry: isUrgent = false }) => {
    isRequested = true;
    first.resolve(reason);
    if (isUrgent) hurry.abort(new Error(`${reason}, in a hurry`));
  };
  return {
    requested: first.promise,
    get isRequested() {
      return isRequested;
    },
    hurry: hurry.signal,
    request,
    stop: ({ hurry: isUrgent }) => request({ reason: askedFor, hurry: isUrgent }),
  };
}
