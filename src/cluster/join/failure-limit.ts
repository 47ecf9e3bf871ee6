/**
 * Slows down whoever guesses: each address may fail a few times, then once in a while. Only failures
 * count, so that a hundred nodes behind one address join at once with the right token.
 */
import type { Clock } from '../../kernel/clock.ts';

export interface FailureLimit {
  /** May this address try at all at present? */
  mayTry(address: string): boolean;
  failed(address: string): void;
}

export interface FailureLimitOptions {
  readonly clock: Clock;
  /** Failures that are free (default 10). */
  readonly burst?: number;
  /** One further failure is forgiven after this long (default 2 s). */
  readonly forgivenAfterMs?: number;
  /** Addresses that are remembered (default 4096): the oldest is forgotten first, so memory is bounded. */
  readonly limit?: number;
}

interface Entry {
  count: number;
  sinceMs: number;
}

export function failureLimit({
  clock,
  burst = 10,
  forgivenAfterMs = 2_000,
  limit = 4_096,
}: FailureLimitOptions): FailureLimit {
  const entries = new Map<string, Entry>();

  const present = (address: string): Entry | undefined => {
    const entry = entries.get(address);
    if (entry === undefined) return undefined;
    const forgiven = Math.floor((clock.monotonicMs() - entry.sinceMs) / forgivenAfterMs);
    entry.count -= forgiven;
    entry.sinceMs += forgiven * forgivenAfterMs;
    if (entry.count > 0) return entry;
    entries.delete(address);
    return undefined;
  };

  return {
    mayTry: (address) => (present(address)?.count ?? 0) < burst,
    failed(address) {
      const entry = present(address);
      if (entry !== undefined) {
        entry.count += 1;
        return;
      }
      if (entries.size >= limit) for (const oldest of entries.keys()) if (entries.size >= limit) entries.delete(oldest);
      entries.set(address, { count: 1, sinceMs: clock.monotonicMs() });
    },
  };
}
