/**
 * In which order to start, and who goes first among equals: the unit with the longest tail, that
 * is with the most time behind it until everything that waits for it is ready.
 */
import type { Need, Unit } from '../unit/schema.ts';

export type Dependents = ReadonlyMap<string, readonly { readonly unit: string; readonly need: Need }[]>;

export interface StartOrder {
  readonly order: readonly string[];
  readonly levels: readonly (readonly string[])[];
  readonly tailMs: ReadonlyMap<string, number>;
  readonly dependents: Dependents;
}

/** Whether the dependent is stopped before its target: for these edges there must be no cycle. */
export const ordersStop = (need: Need) => need.kind !== 'parallel';

/** Whether the dependent may have to wait; a soft edge that waits 0 ms is there for the stop order alone. */
export const waits = (need: Need) => need.kind === 'hard' || (need.kind === 'soft' && need.maxWaitMs > 0);

/** How much of its target's `durationMs` the dependent waits for: all, as long as it has patience, or not at all. */
export function waitedMs(need: Need, durationMs: number): number {
  switch (need.kind) {
    case 'hard':
      return need.until === 'started' ? 0 : durationMs;
    case 'soft':
      return Math.min(durationMs, need.maxWaitMs);
    case 'parallel':
      return 0;
  }
}

/** @param needs - checked edges; units on a cycle of edges that wait, and those behind it, are left out of the order */
export function startOrder(
  units: ReadonlyMap<string, Unit>,
  needs: ReadonlyMap<string, readonly Need[]>,
  durationMs: (name: string) => number,
): StartOrder {
  const dependents = new Map<string, { unit: string; need: Need }[]>();
  for (const name of units.keys()) dependents.set(name, []);
  for (const [unit, edges] of needs) for (const need of edges) dependents.get(need.unit)?.push({ unit, need });

  const levels = levelsOf(units, needs, dependents);
  const tailMs = new Map<string, number>();
  for (const level of levels.toReversed()) {
    for (const name of level) {
      const ownMs = durationMs(name);
      let longest = ownMs;
      for (const { unit, need } of dependents.get(name) ?? []) {
        if (waits(need)) longest = Math.max(longest, waitedMs(need, ownMs) + (tailMs.get(unit) ?? 0));
      }
      tailMs.set(name, longest);
    }
  }
  const byTail = (a: string, b: string) => (tailMs.get(b) ?? 0) - (tailMs.get(a) ?? 0) || (a < b ? -1 : a > b ? 1 : 0);
  for (const level of levels) level.sort(byTail);
  for (const list of dependents.values()) list.sort((a, b) => byTail(a.unit, b.unit));
  return { order: levels.flat(), levels, tailMs, dependents };
}

/** Level of a unit: one more than the highest that it waits for. (Kahn's algorithm, a level at a time.) */
function levelsOf(
  units: ReadonlyMap<string, Unit>,
  needs: ReadonlyMap<string, readonly Need[]>,
  dependents: Dependents,
): string[][] {
  const missing = new Map<string, number>();
  for (const name of units.keys()) missing.set(name, (needs.get(name) ?? []).filter(waits).length);
  const levels: string[][] = [];
  let level = [...units.keys()].filter((name) => missing.get(name) === 0);
  while (level.length > 0) {
    levels.push(level);
    const next: string[] = [];
    for (const name of level) {
      for (const { unit, need } of dependents.get(name) ?? []) {
        if (!waits(need)) continue;
        const left = (missing.get(unit) ?? 0) - 1;
        missing.set(unit, left);
        if (left === 0) next.push(unit);
      }
    }
    level = next;
  }
  return levels;
}
