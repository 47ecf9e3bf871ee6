/**
 * Which units are to stop and wait for others to stop first: in a cascade, a reload, or the stop of
 * everything. Until its turn comes such a unit looks as if nobody had asked. For `why` alone: nothing
 * decides by it.
 */
import { inStopOrder } from './stop-plan.ts';

export interface PendingStops {
  /** Units that must have stopped before `unit` is stopped; some may have. Empty when none is waited for. */
  waitsFor(unit: string): readonly string[];
  /**
   * As {@link inStopOrder}, and told by `waitsFor` meanwhile.
   *
   * @param isMeant - false for a unit that somebody else has moved since: its turn will do nothing
   */
  inOrder(
    names: Iterable<string>,
    stopsAfter: (name: string) => readonly string[],
    stop: (name: string) => Promise<void>,
    isMeant: (name: string) => boolean,
  ): Promise<void>;
}

interface Pending {
  readonly before: readonly string[];
  isMeant(): boolean;
}

export function createPendingStops(): PendingStops {
  // Several requests may have the same unit.
  const pending = new Map<string, Set<Pending>>();

  const add = (name: string, entry: Pending): Disposable => {
    const entries = pending.get(name) ?? new Set();
    pending.set(name, entries.add(entry));
    return {
      [Symbol.dispose]() {
        entries.delete(entry);
        if (entries.size === 0 && pending.get(name) === entries) pending.delete(name);
      },
    };
  };

  return {
    waitsFor: (unit) => [
      ...new Set([...(pending.get(unit) ?? [])].filter((entry) => entry.isMeant()).flatMap(({ before }) => before)),
    ],
    async inOrder(names, stopsAfter, stop, isMeant) {
      const own = new Set(names);
      const waits = new Map<string, Disposable>();
      for (const name of own) {
        const before = stopsAfter(name).filter((other) => own.has(other));
        if (before.length > 0) waits.set(name, add(name, { before, isMeant: () => isMeant(name) }));
      }
      try {
        await inStopOrder(own, stopsAfter, async (name) => {
          waits.get(name)?.[Symbol.dispose]();
          await stop(name);
        });
      } finally {
        for (const wait of waits.values()) wait[Symbol.dispose]();
      }
    },
  };
}
