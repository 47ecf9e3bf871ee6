/**
 * What happened, in one order: the executor's events and, beside them, what the fake world saw for
 * itself. So a test can compare what was said with what was true.
 */
import type { Exit } from '../../src/error/readiness-error.ts';
import type { Event } from '../../src/event/event.ts';
import { createEventStream, type EventStream } from '../../src/event/stream.ts';
import type { UnitGraph } from '../../src/graph/unit-graph.ts';
import type { Clock } from '../../src/kernel/clock.ts';

/** What the fake world saw. A generation is `gone` when nothing of it is alive; `exited`: its main process, when that becomes known. */
export type Fact =
  | {
      readonly kind: 'launched' | 'adopted' | 'gone' | 'answered' | 'finished';
      readonly unit: string;
      readonly generation: number;
    }
  | { readonly kind: 'refused'; readonly unit: string; readonly generation: number }
  | { readonly kind: 'exited'; readonly unit: string; readonly generation: number; readonly exit: Exit }
  | { readonly kind: 'signalled'; readonly unit: string; readonly generation: number; readonly signal: string }
  /** The supervisor was killed. */
  | { readonly kind: 'killed' }
  | { readonly kind: 'undoing' | 'undone'; readonly unit: string }
  | { readonly kind: 'user'; readonly action: UserDeed; readonly units: readonly string[] }
  /** The graph that the executor was given: for a reload, or after a kill. */
  | { readonly kind: 'graph' | 'revived'; readonly graph: UnitGraph };

/** `down`: everything is stopped; `refused`: a stop that needs --cascade. */
export type UserDeed = 'start' | 'stop' | 'restart' | 'refused' | 'reload' | 'down' | 'hint';

export type JournalEntry = { readonly atMs: number } & (Fact | { readonly kind: 'said'; readonly event: Event });

export interface Journal {
  readonly entries: readonly JournalEntry[];
  note(fact: Fact): void;
  /** An event stream that also writes here, at the moment of the emit (attempts of checks apart: too many). */
  readonly events: EventStream;
}

export function createJournal(clock: Clock): Journal {
  const entries: JournalEntry[] = [];
  const stream = createEventStream({ clock, capacity: 1024 });
  return {
    entries,
    note: (fact) => void entries.push({ atMs: clock.monotonicMs(), ...fact }),
    events: {
      ...stream,
      get lastSeq() {
        return stream.lastSeq;
      },
      emit(event) {
        if (event.type !== 'probe.attempt') entries.push({ atMs: clock.monotonicMs(), kind: 'said', event });
        stream.emit(event);
      },
    },
  };
}

/** One entry as a line, for the message of a failed test. */
export function describeEntry(entry: JournalEntry): string {
  const at = `${entry.atMs.toFixed(1).padStart(9)} ms`;
  if (entry.kind === 'graph' || entry.kind === 'revived')
    return `${at}  [${entry.kind}] ${entry.graph.order.join(' ')}`;
  if (entry.kind !== 'said') {
    const { kind, atMs: _at, ...rest } = entry;
    return `${at}  [${kind}] ${Object.values(rest)
      .map((value) => JSON.stringify(value))
      .join(' ')}`;
  }
  const { event } = entry;
  if (event.type === 'unit.state') {
    const { unit, state, generation, desired, exhausted, lastError, degraded, waitingFor } = event.snapshot;
    const notes = [
      `gen ${String(generation)}`,
      desired,
      ...(exhausted ? ['exhausted'] : []),
      ...(lastError === undefined ? [] : [`error "${lastError.message}"`]),
      ...(degraded.length === 0 ? [] : [`degraded by ${degraded.map((item) => item.unit).join()}`]),
      ...(waitingFor.length === 0 ? [] : [`waiting for ${waitingFor.map((item) => item.unit).join()}`]),
    ];
    return `${at}  ${unit}: ${event.from} -> ${state} (${notes.join(', ')})`;
  }
  const { type, ...rest } = event;
  return `${at}  ${type} ${JSON.stringify(rest).slice(0, 160)}`;
}
