/**
 * Makes an object of the API as soon as kube-apiserver takes it, a second and more before every check
 * of its /readyz has passed: asked again until it is taken, is there already, or can never be taken.
 */
import { sleep, type Clock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/message-of.ts';
import { earlyPace } from './early-pace.ts';
import { KubeApiError, type KubeClient } from './kube-client.ts';

/** Refusals that asking again does not change. */
const final: readonly number[] = [400, 401, 422];

export interface CreateEarlyOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Told why it has to wait. */
  readonly say: (line: string) => void;
  /** True: a refusal from now on is one that asking again does not change. */
  readonly isLast?: () => boolean;
}

/**
 * @param collection path of it
 * @returns whether it has been made; false: it was there
 * @throws KubeApiError for a refusal that asking again does not change; the reason of `signal`
 */
export async function createEarly(
  client: Pick<KubeClient, 'create' | 'get'>,
  collection: string,
  body: { readonly metadata: { readonly name: string } },
  { clock, signal, say, isLast = () => false }: CreateEarlyOptions,
): Promise<boolean> {
  const pace = earlyPace(clock);
  for (;;) {
    const last = isLast();
    try {
      await client.create(collection, body, signal);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof KubeApiError) {
        if (error.reason === 'AlreadyExists') return false;
        // Quotas, policies and webhooks are asked before anybody looks whether it is there.
        if (await isThere(client, `${collection}/${body.metadata.name}`, signal)) return false;
        if (last || final.includes(error.status)) throw error;
      }
      say(messageOf(error));
    }
    await sleep(clock, pace(), signal);
  }
}

async function isThere(client: Pick<KubeClient, 'get'>, path: string, signal: AbortSignal): Promise<boolean> {
  try {
    await client.get(path, signal);
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}
