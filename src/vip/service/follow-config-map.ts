/**
 * Follows what one ConfigMap says. A watch does not tell what was deleted while it was broken, and not when its
 * first list is at its end: a read soon after it has begun and one every now and then do.
 */
import { isDeepStrictEqual } from 'node:util';
import { linkedAbort } from '../../kernel/abort.ts';
import { sleep, type Clock } from '../../kernel/clock.ts';
import { unlessMissing } from '../unless-missing.ts';
import { firstRelistMs, relistMs, type ServiceApi } from './object-store.ts';

export interface FollowConfigMapOptions<T> {
  readonly api: Pick<ServiceApi, 'get' | 'watch'>;
  readonly namespace: string;
  readonly name: string;
  /** @param object - undefined: there is none */
  readonly valueOf: (object: unknown) => T;
  /** The one that counts now: what is written down here counts before a watch tells. */
  readonly present: () => T;
  readonly onValue: (value: T) => void;
  /** It was read; given, the first read is at once. */
  readonly onRead?: () => void;
  /** The API refuses that it is read. */
  readonly onRefused?: () => void;
  readonly clock: Clock;
}

/** Until the signal aborts, or the API refuses. */
export async function followConfigMap<T>(options: FollowConfigMapOptions<T>, signal: AbortSignal): Promise<void> {
  const { api, namespace, name, valueOf, present, onValue, onRead, onRefused, clock } = options;
  using end = linkedAbort(signal);
  const folder = `/api/v1/namespaces/${namespace}/configmaps`;

  const watch = async (): Promise<void> => {
    const query = { fieldSelector: `metadata.name=${name}` };
    for await (const { type, object } of api.watch(folder, query, end.signal))
      onValue(valueOf(type === 'DELETED' ? undefined : object));
  };
  const read = async (): Promise<void> => {
    const before = present();
    const value = valueOf(await unlessMissing(api.get(`${folder}/${name}`, end.signal)));
    // What was told meanwhile is newer.
    if (present() === before && !isDeepStrictEqual(value, before)) onValue(value);
    onRead?.();
  };
  const readNowAndThen = async (): Promise<never> => {
    if (onRead !== undefined) await read();
    for (let pauseMs = firstRelistMs; ; pauseMs = relistMs) {
      await sleep(clock, pauseMs, end.signal);
      await read();
    }
  };

  const both = [watch(), readNowAndThen()];
  try {
    await Promise.race(both);
  } catch (error) {
    // Whichever of the two is refused first: the other one is not answered any more.
    if (isRefused(error)) onRefused?.();
    throw error;
  } finally {
    end.abort(new Error('the API is asked anew'));
    await Promise.allSettled(both);
  }
}

/** To ask again changes nothing: permissions of an earlier version do not name it. */
const isRefused = (error: unknown): boolean => (error as { readonly status?: unknown }).status === 403;
