/** What the next supervisor has to adopt, by rules of its own: plan-adoption is judged by it. */
import type { UnitGraph } from '../../src/graph/unit-graph.ts';
import type { Leftover } from '../../src/process/leftover.ts';
import type { JournalEntry } from './journal.ts';

/** Units that run on as the graph would start them, by what the world has seen and the killed supervisor has said. */
export function mustBeAdopted(
  graph: UnitGraph,
  leftovers: readonly Leftover[],
  entries: readonly JournalEntry[],
): readonly string[] {
  const wasReady = (unit: string) => {
    const launched = entries.findLastIndex((entry) => entry.kind === 'launched' && entry.unit === unit);
    return entries
      .slice(launched)
      .some(
        (entry) =>
          entry.kind === 'said' &&
          entry.event.type === 'unit.state' &&
          entry.event.unit === unit &&
          entry.event.snapshot.state === 'ready',
      );
  };
  return leftovers
    .filter(({ unit, isMainAlive, record }) => {
      if (!graph.has(unit)) return false;
      const { kind, hash, ready } = graph.unit(unit);
      const isBound = graph.needs(unit).some((need) => need.kind === 'hard' && need.onLoss !== 'keep');
      const isKnown = ready?.notify !== true || wasReady(unit);
      return kind === 'service' && isMainAlive && record?.hash === hash && isKnown && !isBound;
    })
    .map(({ unit }) => unit);
}
