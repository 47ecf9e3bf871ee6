/** Follows what operators have asked for. */
import type { Clock } from '../../kernel/clock.ts';
import { followConfigMap } from './follow-config-map.ts';
import type { ServiceApi } from './object-store.ts';
import { noWishes, readWishes, wishesName, type Wishes } from './wishes.ts';

export interface FollowWishesOptions {
  readonly api: Pick<ServiceApi, 'get' | 'watch'>;
  readonly namespace: string;
  /** Those that count now: what is written down here counts before a watch tells. */
  readonly present: () => Wishes;
  readonly onWishes: (wishes: Wishes) => void;
  readonly clock: Clock;
}

/** Until the signal aborts, or the API refuses. */
export function followWishes({ onWishes, ...options }: FollowWishesOptions, signal: AbortSignal): Promise<void> {
  const valueOf = (object: unknown) => (object === undefined ? noWishes : readWishes(object));
  return followConfigMap({ ...options, name: wishesName, valueOf, onValue: onWishes }, signal);
}
