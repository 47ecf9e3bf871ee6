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
export class History {
  readonly #tenures = new Map<string, Tenure[]>();

  hear({ address, mac, atMs }: Spoken): void {
    const found = this.#tenures.get(address) ?? [];
    this.#tenures.set(address, found);
    const last = found.at(-1);
    if (last?.mac === mac) found[found.length - 1] = { ...last, untilMs: atMs };
    else found.push({ mac, fromMs: atMs, untilMs: atMs });
  }

  of(address: string): readonly Tenure[] {
    return this.#tenures.get(address) ?? [];
  }

  clear(): void {
    this.#tenures.clear();
  }
}

export function tenures(spoken: readonly Spoken[], address: string): readonly Tenure[] {
  const history = new History();
  for (const one of spoken) history.hear(one);
  return history.of(address);
}

export const speakers = (spoken: readonly Spoken[], address: string): readonly string[] =>
  tenures(spoken, address).map(({ mac }) => mac);

/** A node was given an address under a generation. */
export interface Granted {
  readonly node: string;
  readonly generation: number;
}

export interface Verdict {
  /** What should not have been; none: never two have answered under one generation. */
  readonly complaints: readonly string[];
  /** Of the last who spoke: the next history begins with that one. */
  readonly generation: number;
}

/**
 * Holds what was heard of one address against what was granted: each who speaks after another one
 * needs a grant of its own that is younger. So it is found when two answer by turns, when one answers
 * after its successor, and when one answers whom nobody has granted it. It goes by order alone: nobody's
 * clock, and no pause of the machine, makes a fault or hides one.
 *
 * @param since - generation of the first who spoke: an older grant counts for nothing
 */
export function judge(
  history: readonly { readonly node: string | undefined }[],
  granted: readonly Granted[],
  since: number,
): Verdict {
  const complaints: string[] = [];
  const owners = new Map<number, string>();
  for (const { node, generation } of granted) {
    const other = owners.get(generation);
    if (other !== undefined && other !== node) {
      complaints.push(`generation ${String(generation)} is both of ${other} and of ${node}`);
    }
    owners.set(generation, node);
  }
  const grants = [...owners].sort(([a], [b]) => a - b);
  let least = since;
  for (const [at, { node }] of history.entries()) {
    const grant = grants.find(([generation, owner]) => owner === node && generation >= least);
    if (grant === undefined) {
      const before = history.slice(0, at).map((one) => one.node ?? 'a stranger');
      const told = [...before, node ?? 'a stranger'].join(', ');
      complaints.push(
        `${node ?? 'a stranger'} answers without a grant of generation ${String(least)} or later: ${told}`,
      );
      continue;
    }
    least = grant[0] + 1;
  }
  return { complaints, generation: Math.max(since, least - 1) };
}
