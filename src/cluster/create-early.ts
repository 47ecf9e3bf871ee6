/**
 * Makes an object of the API as soon as kube-apiserver takes it, a second and more before every check
 * of its /readyz has passed: asked again until it is taken, is there already, or can never be taken.
 */
import { backoffDelayMs } from '../kernel/backoff.ts';
import { sleep, type Clock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/message-of.ts';
import { KubeApiError, type KubeClient } from './kube-client.ts';

/** A refused connection costs next to nothing, so that a server which begins to listen is noticed at once… */
const refused = { firstMs: 10, factor: 1.02, maxMs: 250, jitter: 0.1 };
/** …an answer costs the server that is busy starting. */
const answered = { firstMs: 15, factor: 1.3, maxMs: 250, jitter: 0.1 };

/** Refusals that asking again does not change. */
const final: readonly number[] = [400, 401, 422];

export interface CreateEarlyOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Told why it has to wait. */
  readonly say: (line: string) => void;
}

/**
 * @param path of the collection
 * @returns whether it has been made; false: it was there
 * @throws KubeApiError for a refusal that asking again does not change; the reason of `signal`
 */
export async function createEarly(
  client: Pick<KubeClient, 'create'>,
  path: string,
  body: object,
  { clock, signal, say }: CreateEarlyOptions,
): Promise<boolean> {
  const attempts = { refused: 0, answered: 0 };
  for (;;) {
    let delayMs: number;
    try {
      await client.create(path, body, signal);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof KubeApiError) {
        if (error.reason === 'AlreadyExists') return false;
        if (final.includes(error.status)) throw error;
      }
      say(messageOf(error));
      delayMs = isRefused(error)
        ? backoffDelayMs(refused, (attempts.refused += 1), Math.random)
        : backoffDelayMs(answered, (attempts.answered += 1), Math.random);
    }
    await sleep(clock, delayMs, signal);
  }
}

const isRefused = (error: unknown): boolean => (error as NodeJS.ErrnoException | undefined)?.code === 'ECONNREFUSED';
