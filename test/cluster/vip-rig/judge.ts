/** What the observer has heard, as a history: who spoke for an address, and until when. Pure. */
import type { Spoken } from './calls.ts';

export interface Tenure {
  readonly mac: string;
  readonly fromMs: number;
  readonly untilMs: number;
}

/**
 * In the order in which they spoke. Two that speak at the same time appear as a, b, a, b: a history
 * that nobody has asked for.
 */
export function tenures(spoken: readonly Spoken[], address: string): readonly Tenure[] {
  const found: Tenure[] = [];
  for (const { atMs, mac } of spoken.filter((one) => one.address === address)) {
    const last = found.at(-1);
    if (last?.mac === mac) found[found.length - 1] = { ...last, untilMs: atMs };
    else found.push({ mac, fromMs: atMs, untilMs: atMs });
  }
  return found;
}

export const speakers = (spoken: readonly Spoken[], address: string): readonly string[] =>
  tenures(spoken, address).map(({ mac }) => mac);
