/**
 * What is going on, folded from the event stream and from nothing else: the one picture that the
 * tree, the plain lines, the summary and the record of a start are drawn from.
 *
 * The fold is a function of the events alone (no clock, no input or output); it writes into the
 * model it is given, because a copy for each of thousands of events would cost a start its speed.
 */
import type { ReadinessError } from '../error/readiness-error.ts';
import type { Envelope, EventOf } from '../event/event.ts';
import { unreachable } from '../kernel/unreachable.ts';
import type { EdgeKind } from '../unit/schema.ts';
import { isUp, type Degraded, type Moment, type UnitStateName } from '../unit/state.ts';

/** `attention`: something is not up any more after everything was. */
export type Phase = 'idle' | 'building' | 'starting' | 'ready' | 'attention' | 'stopping' | 'stopped';

export interface UnitView {
  readonly name: string;
  readonly about: string;
  readonly kind: 'service' | 'task' | 'builtin';
  readonly state: UnitStateName;
  readonly since: Moment;
  readonly generation: number;
  readonly restarts: number;
  readonly pid?: number | undefined;
  /** Gates that are still closed. */
  readonly waitingFor: readonly { readonly unit: string; readonly kind: EdgeKind }[];
  readonly degraded: readonly Degraded[];
  readonly error?: ReadinessError | undefined;
  readonly nextRetryAt?: Moment | undefined;
  readonly status?: string | undefined;
  /** When its last gate opened, or it began to be wanted if there was none to wait for. */
  readonly gatesOpenAt?: Moment | undefined;
  /** The dependency that opened the last gate. */
  readonly openedBy?: string | undefined;
  /** First process of the present start. */
  readonly spawnedAt?: Moment | undefined;
  readonly readyAt?: Moment | undefined;
  /** The present generation was started by an earlier k3s-lite. */
  readonly adopted: boolean;
  /** Attempts of the readiness check of the present generation, and the last outcome. */
  readonly attempts: number;
  readonly lastCheck?: { readonly check: string; readonly outcome: string } | undefined;
  /** Signal of the stop ladder that was sent last. */
  readonly stopSignal?: string | undefined;
}

export interface Model {
  phase: Phase;
  /** When `up` began, or the first event if it has not. */
  startedAt: Moment | undefined;
  /** First time everything was ready. */
  readyAt: Moment | undefined;
  /** When the present down began. */
  downAt: Moment | undefined;
  downReason: string | undefined;
  leftovers: readonly string[];
  /** In start order. */
  readonly units: Map<string, UnitView>;
  readonly building: Map<string, EventOf<'component.progress'>>;
  edges: EventOf<'up.started'>['edges'];
}

export function emptyModel(): Model {
  return {
    phase: 'idle',
    startedAt: undefined,
    readyAt: undefined,
    downAt: undefined,
    downReason: undefined,
    leftovers: [],
    units: new Map(),
    building: new Map(),
    edges: [],
  };
}

/** Applies one event to `model`. */
export function fold(model: Model, { event, wallMs, monotonicMs }: Envelope): void {
  const at: Moment = { wallMs, monotonicMs };
  model.startedAt ??= at;
  const change = (unit: string, update: (view: UnitView) => Partial<UnitView>) => {
    const view = model.units.get(unit) ?? unknownUnit(unit, at);
    model.units.set(unit, { ...view, ...update(view) });
  };
  switch (event.type) {
    case 'up.started':
      return startUp(model, event, at);
    case 'up.ready':
      model.phase = 'ready';
      model.readyAt ??= at;
      return;
    case 'up.lost':
      model.phase = 'attention';
      return;
    case 'reload.started':
      addUnits(model, event, at);
      return;
    case 'reload.finished':
      for (const unit of event.plan.stop) model.units.delete(unit);
      return;
    case 'down.started':
      Object.assign(model, { phase: 'stopping', downAt: at, downReason: event.reason } satisfies Partial<Model>);
      return;
    case 'down.finished':
      Object.assign(model, { phase: 'stopped', leftovers: event.leftovers } satisfies Partial<Model>);
      return;
    case 'unit.state':
      return change(event.unit, (view) => stateChange(view, event, at));
    case 'unit.gate':
      return change(event.unit, (view) => ({
        waitingFor: view.waitingFor.filter(({ unit }) => unit !== event.dependency),
        ...(event.last && view.readyAt === undefined ? { gatesOpenAt: at, openedBy: event.dependency } : {}),
      }));
    case 'process.spawned':
      return change(event.unit, (view) => ({ spawnedAt: view.spawnedAt ?? at, pid: event.pid }));
    case 'process.adopted':
      return change(event.unit, () => ({ adopted: true }));
    case 'process.stopping':
      return change(event.unit, () => ({ stopSignal: event.signal }));
    case 'probe.attempt':
      if (event.phase === 'health') return;
      return change(event.unit, () => ({
        attempts: event.count,
        lastCheck: { check: event.check, outcome: event.attempt.outcome },
      }));
    case 'notify.status':
      return change(event.unit, () => ({ status: event.status }));
    case 'component.progress':
      if (model.phase === 'idle') model.phase = 'building';
      model.building.set(event.component, event);
      return;
    case 'unit.waiting':
    case 'unit.failed':
    case 'notify.figures':
    case 'process.exited':
    case 'probe.hint':
    case 'notice':
    case 'budget.exceeded':
    case 'leftover.found':
    case 'control.asked':
    case 'reload.refused':
      return;
    default:
      return unreachable(event);
  }
}

function startUp(model: Model, event: EventOf<'up.started'>, at: Moment): void {
  model.phase = 'starting';
  model.startedAt = at;
  model.building.clear();
  addUnits(model, event, at);
}

function addUnits(model: Model, event: Pick<EventOf<'up.started'>, 'units' | 'edges'>, at: Moment): void {
  model.edges = event.edges;
  for (const { name, about, kind } of event.units) {
    model.units.set(name, { ...(model.units.get(name) ?? unknownUnit(name, at)), about, kind });
  }
}

function unknownUnit(name: string, since: Moment): UnitView {
  return {
    name,
    about: '',
    kind: 'service',
    state: 'inactive',
    since,
    generation: 0,
    restarts: 0,
    waitingFor: [],
    degraded: [],
    adopted: false,
    attempts: 0,
  };
}

function stateChange(view: UnitView, { snapshot }: EventOf<'unit.state'>, at: Moment): Partial<UnitView> {
  const { state, since, generation, restarts, pid, waitingFor, degraded, lastError, nextRetryAt, status } = snapshot;
  const isNewRun = generation !== view.generation;
  return {
    state,
    since,
    generation,
    restarts,
    pid,
    degraded,
    error: lastError,
    nextRetryAt,
    status,
    waitingFor: waitingFor.map(({ unit, kind }) => ({ unit, kind })),
    gatesOpenAt: view.gatesOpenAt ?? (state === 'waiting' ? at : undefined),
    readyAt: view.readyAt ?? (isUp(state) ? at : undefined),
    stopSignal: state === 'stopping' ? view.stopSignal : undefined,
    adopted: !isNewRun && view.adopted,
    attempts: isNewRun ? 0 : view.attempts,
    lastCheck: isNewRun ? undefined : view.lastCheck,
  };
}

/** Milliseconds a unit needed by itself: from its last gate to ready. Undefined until it was ready. */
export function selfMs({ gatesOpenAt, readyAt }: UnitView): number | undefined {
  if (gatesOpenAt === undefined || readyAt === undefined) return undefined;
  return Math.max(0, readyAt.monotonicMs - gatesOpenAt.monotonicMs);
}

/** How many units are in each state. */
export function countStates(model: Model): ReadonlyMap<UnitStateName, number> {
  const counts = new Map<UnitStateName, number>();
  for (const { state } of model.units.values()) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
}
