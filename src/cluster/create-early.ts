/**
 * Makes an object of the API as soon as kube-apiserver takes it, a second and more before every check
 * of its /readyz has passed: asked again until it is taken, is there already, or can never be taken.
 */
import { backoffDelayMs } from '../kernel/backoff.ts';
import { sleep, type Clock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/message-of.ts';
import { earlyPace } from './early-pace.ts';
import { KubeApiError, type KubeClient } from './kube-client.ts';

/** After an answer: it costs the server that is busy starting. */
const answered = { firstMs: 15, factor: 1.3, maxMs: 250, jitter: 0.1 };
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
  const refusedPace = earlyPace(clock);
  let answers = 0;
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
        const canBeThere = error.status !== 404;
        if (canBeThere && (await isThere(client, `${collection}/${body.metadata.name}`, signal))) return false;
        if (last || final.includes(error.status)) throw error;
      }
      say(messageOf(error));
      if (error instanceof KubeApiError) answers += 1;
    }
    await sleep(clock, answers === 0 ? refusedPace() : backoffDelayMs(answered, answers, Math.random), signal);
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
