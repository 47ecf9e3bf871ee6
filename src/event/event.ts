/**
 * Everything that can happen, as one union. Every figure shown to the user is folded from this
 * stream; renderers switch exhaustively, so that a new event does not compile until it is shown.
 */
import type { Attempt, Exit, ReadinessError } from '../error/readiness-error.ts';
import type { StartupError } from '../error/startup-error.ts';
import type { EdgeKind } from '../unit/schema.ts';
import type { UnitSnapshot, UnitStateName } from '../unit/state.ts';
import type { ReloadPlan } from './reload-plan.ts';

export type Event =
  /** `up` begins: the units wanted, in start order, with their edges. */
  | {
      readonly type: 'up.started';
      readonly units: readonly {
        readonly name: string;
        readonly about: string;
        readonly kind: 'service' | 'task' | 'builtin';
      }[];
      readonly edges: readonly { readonly from: string; readonly to: string; readonly kind: EdgeKind }[];
    }
  /** Every wanted unit is ready or done. Emitted once for each time that becomes true. */
  | { readonly type: 'up.ready'; readonly elapsedMs: number }
  /** A unit left ready or done after `up.ready`. */
  | { readonly type: 'up.lost'; readonly unit: string }
  /** A unit, or the whole start ("total"), took longer than `--budget` allows. `chain`: the units that led there, first to last. */
  | {
      readonly type: 'budget.exceeded';
      readonly subject: string;
      readonly limitMs: number;
      readonly elapsedMs: number;
      readonly chain: readonly { readonly unit: string; readonly selfMs: number }[];
    }
  /** The user asked for it: which units it moves, in the order of the request's effect. What becomes of them is told by `unit.state`. */
  | {
      readonly type: 'control.asked';
      readonly action: 'start' | 'stop' | 'restart';
      readonly units: readonly string[];
    }
  /** A reload begins; units and edges are those of the new graph that are wanted up. */
  | {
      readonly type: 'reload.started';
      readonly plan: ReloadPlan;
      readonly units: EventOf<'up.started'>['units'];
      readonly edges: EventOf<'up.started'>['edges'];
    }
  /** `rolledBack`: did not become ready and are what they were before; `waiting`: not judged, they wait for others. */
  | {
      readonly type: 'reload.finished';
      readonly plan: ReloadPlan;
      readonly elapsedMs: number;
      readonly rolledBack: readonly { readonly unit: string; readonly error: ReadinessError | undefined }[];
      readonly waiting: readonly string[];
    }
  /** Nothing was changed: a file has a mistake, or this cannot be reloaded now. */
  | { readonly type: 'reload.refused'; readonly error: StartupError<object> }
  | { readonly type: 'down.started'; readonly reason: string }
  | { readonly type: 'down.finished'; readonly elapsedMs: number; readonly leftovers: readonly string[] }
  /** A unit changed its state, or something in its snapshot that people see. */
  | {
      readonly type: 'unit.state';
      readonly unit: string;
      readonly from: UnitStateName;
      readonly snapshot: UnitSnapshot;
    }
  /** Still not started: said at 1, 5 and 30 s (design contract 1). */
  | { readonly type: 'unit.waiting'; readonly unit: string; readonly waitedMs: number; readonly snapshot: UnitSnapshot }
  /** A gate opened, the last one for `unit` when `last` is true. */
  | {
      readonly type: 'unit.gate';
      readonly unit: string;
      readonly dependency: string;
      readonly kind: EdgeKind;
      readonly last: boolean;
    }
  | {
      readonly type: 'process.spawned';
      readonly unit: string;
      readonly generation: number;
      readonly pid: number;
      readonly argv: readonly string[];
    }
  /** A process of an earlier run is gone on with; `finished`: a task of it that has ended well stands. */
  | {
      readonly type: 'process.adopted';
      readonly unit: string;
      readonly generation: number;
      readonly pid: number;
      readonly startedWallMs: number;
      readonly finished: boolean;
    }
  | {
      readonly type: 'process.exited';
      readonly unit: string;
      readonly generation: number;
      readonly pid: number;
      readonly exit: Exit;
    }
  /** A step of the stop ladder. */
  | {
      readonly type: 'process.stopping';
      readonly unit: string;
      readonly generation: number;
      readonly signal: string;
      readonly remaining: readonly number[];
    }
  | {
      readonly type: 'probe.attempt';
      readonly unit: string;
      readonly generation: number;
      readonly phase: 'ready' | 'health';
      readonly check: string;
      readonly attempt: Attempt;
      readonly count: number;
    }
  | { readonly type: 'probe.hint'; readonly unit: string; readonly generation: number; readonly source: string }
  | { readonly type: 'notify.status'; readonly unit: string; readonly generation: number; readonly status: string }
  /** What the process has measured, by name (X_FIGURES=): all that it tells at present. */
  | {
      readonly type: 'notify.figures';
      readonly unit: string;
      readonly generation: number;
      readonly figures: Readonly<Record<string, number>>;
    }
  /** Something a person should know that is no failure of a unit. */
  | { readonly type: 'notice'; readonly level: 'info' | 'warning'; readonly text: string; readonly unit?: string }
  /** Processes of an earlier run were found alive and are ended; `reason`: why they are not adopted. */
  | {
      readonly type: 'leftover.found';
      readonly unit: string;
      readonly pids: readonly number[];
      readonly reason: string;
    }
  | { readonly type: 'unit.failed'; readonly unit: string; readonly error: ReadinessError }
  /** Building a component: one line of progress. */
  | {
      readonly type: 'component.progress';
      readonly component: string;
      readonly step: string;
      readonly elapsedMs: number;
      readonly estimateMs?: number;
    };

export type EventType = Event['type'];
export type EventOf<T extends EventType> = Extract<Event, { type: T }>;

/** An event with its place in the stream. `seq` has no gaps; wall time may jump, monotonic time does not. */
export interface Envelope<E = Event> {
  readonly seq: number;
  readonly wallMs: number;
  readonly monotonicMs: number;
  readonly event: E;
}
