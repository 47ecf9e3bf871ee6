/**
 * Follows what operators have asked for. A watch does not tell what was deleted while it was broken, and
 * not when its first list is at its end: a read soon after it has begun and one every now and then do.
 */
import { isDeepStrictEqual } from 'node:util';
import { linkedAbort } from '../../kernel/abort.ts';
import { sleep, type Clock } from '../../kernel/clock.ts';
import { unlessMissing } from '../unless-missing.ts';
import { firstRelistMs, relistMs, type ServiceApi } from './object-store.ts';
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
export async function followWishes(options: FollowWishesOptions, signal: AbortSignal): Promise<void> {
  const { api, namespace, present, onWishes, clock } = options;
  using end = linkedAbort(signal);
  const folder = `/api/v1/namespaces/${namespace}/configmaps`;

  const watch = async (): Promise<void> => {
    const query = { fieldSelector: `metadata.name=${wishesName}` };
    for await (const { type, object } of api.watch(folder, query, end.signal))
      onWishes(type === 'DELETED' ? noWishes : readWishes(object));
  };
  const read = async (): Promise<void> => {
    const before = present();
    const object = await unlessMissing(api.get(`${folder}/${wishesName}`, end.signal));
    const wishes = object === undefined ? noWishes : readWishes(object);
    // What was told meanwhile is newer.
    if (present() === before && !isDeepStrictEqual(wishes, before)) onWishes(wishes);
  };
  const readNowAndThen = async (): Promise<never> => {
    for (let pauseMs = firstRelistMs; ; pauseMs = relistMs) {
      await sleep(clock, pauseMs, end.signal);
      await read();
    }
  };

  const both = [watch(), readNowAndThen()];
  try {
    await Promise.race(both);
  } finally {
    end.abort(new Error('the API is asked anew'));
    await Promise.allSettled(both);
  }
}
