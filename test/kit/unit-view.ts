/** What the observer knows of one unit, kept apart from what the executor says of it. */
import type { Need, Unit } from '../../src/unit/schema.ts';
import type { UnitSnapshot, UnitStateName } from '../../src/unit/state.ts';

export interface View {
  readonly unit: Unit;
  needs: readonly Need[];
  /** Between two definitions: which edges count is not to be seen from outside. */
  isUncertain: boolean;
  /** The user stopped it, together with these. */
  heldWith: readonly string[] | undefined;
  /** The user restarted it: its retry need not be waited for. */
  mayRetryEarly: boolean;
  snapshot: UnitSnapshot | undefined;
  state: UnitStateName;
  /** Since when it waits (or is blocked), until it starts: soft gates count from here. */
  waitsSinceMs: number;
  readySinceMs: number;
  /** Generations of which something is alive. */
  readonly alive: Set<number>;
  /** Those of them that were so when the supervisor was killed. */
  readonly outlived: ReadonlySet<number>;
  launched: number;
  exited: number;
  /** Newest generation that truly answered, or finished its work. */
  answered: number;
  finished: number;
  decidedMs: number;
  undoing: boolean;
  /** In the present stop what it did has been taken back. */
  isUndone: boolean;
  /** In the present stop something has survived SIGKILL. */
  hasSurvived: boolean;
  failedStarts: number;
  failuresMs: readonly number[];
  /** It has reached its limit and has not been ready since. */
  limitReached: boolean;
  /** Soft dependencies it started without, until they are ready. */
  missing: Set<string>;
  wasDown: boolean;
}

export const isUp = (state: UnitStateName) => state === 'ready' || state === 'done';
export const hasRun = (state: UnitStateName) => isUp(state) || state === 'unhealthy' || state === 'starting';

/** A soft edge that waits for nothing only orders the stop. */
export const isAwaited = (need: Need): boolean => need.kind === 'hard' || (need.kind === 'soft' && need.maxWaitMs > 0);

export function newView(unit: Unit): View {
  return {
    unit,
    needs: unit.needs,
    isUncertain: false,
    heldWith: undefined,
    mayRetryEarly: false,
    snapshot: undefined,
    state: 'inactive',
    waitsSinceMs: 0,
    readySinceMs: 0,
    alive: new Set(),
    outlived: new Set(),
    launched: 0,
    exited: 0,
    answered: 0,
    finished: 0,
    decidedMs: -1,
    undoing: false,
    isUndone: false,
    hasSurvived: false,
    failedStarts: 0,
    failuresMs: [],
    limitReached: false,
    missing: new Set(),
    wasDown: false,
  };
}

/** The supervisor was killed: what it knew is gone, what is alive is not. */
export function forgetSupervisor(view: View): void {
  const { unit, alive, answered, finished } = view;
  Object.assign(view, newView(unit), { alive, outlived: new Set(alive), answered, finished });
}

/** It has been down: a later start begins with a clean slate. */
export function forgetFailures(view: View): void {
  Object.assign(view, { failedStarts: 0, failuresMs: [], limitReached: false });
}

/** It says that not even SIGKILL ended its processes: nothing can be done but go on. */
export function admitsSurvivors({ snapshot }: View): boolean {
  return snapshot?.lastError?.code === 'ERR_STOP_INCOMPLETE';
}

/** The world, not the executor, has seen this generation ready. */
export function isTrulyReady(view: View, generation: number): boolean {
  if (view.launched !== generation) return false;
  if (view.unit.kind !== 'service') return view.finished === generation;
  return view.unit.ready === undefined || view.answered === generation;
}
