/**
 * Judges a run by its journal alone: what the executor said (events) against what was true (facts),
 * by rules written down from the design and not from the executor's code.
 *
 * Entries are read one by one; where a rule speaks of what must be so when everything has settled,
 * it is checked at the end of each instant (before time moves on).
 */
import { ReadinessError } from '../../src/error/readiness-error.ts';
import { causeChain } from '../../src/error/startup-error.ts';
import type { Event, EventOf } from '../../src/event/event.ts';
import type { UnitGraph } from '../../src/graph/unit-graph.ts';
import type { Need } from '../../src/unit/schema.ts';
import type { UnitSnapshot, UnitStateName } from '../../src/unit/state.ts';
import type { JournalEntry, UserDeed } from './journal.ts';
import {
  admitsSurvivors,
  forgetFailures,
  forgetSupervisor,
  hasRun,
  isAwaited,
  isTrulyReady,
  isUp,
  newView,
  type View,
} from './unit-view.ts';

/** Rounding of sums of milliseconds: so much too early is on time. */
const epsilonMs = 0.02;

export type Reached =
  | 'adopted'
  | 'killed'
  | 'killed while reloading'
  | 'killed while stopping'
  | 'held'
  | 'reloaded'
  | 'rolled back'
  | 'blocked'
  | 'backoff'
  | 'failed'
  | 'recovered'
  | 'user stop'
  | 'degraded'
  | 'unhealthy';

export interface Verdict {
  /** Broken rules, one line each; empty when all is well. */
  readonly violations: readonly string[];
  readonly reached: ReadonlySet<Reached>;
  /** When each unit was first ready, in ms. */
  readonly firstReadyMs: ReadonlyMap<string, number>;
}

export function judge(graph: UnitGraph, entries: readonly JournalEntry[]): Verdict {
  const observer = new Observer(graph);
  for (const entry of entries) observer.read(entry);
  observer.endOfInstant();
  return observer;
}

class Observer implements Verdict {
  readonly violations: string[] = [];
  readonly reached = new Set<Reached>();
  readonly firstReadyMs = new Map<string, number>();
  #graph: UnitGraph;
  readonly #views: Map<string, View>;
  /** What the next reload will bring. */
  #nextGraph: UnitGraph;
  #isReloading = false;
  #nowMs = 0;
  #isClosing = false;
  /** Units that were being stopped already when everything was: by the user, in an order of its own. */
  #stoppingBefore: ReadonlySet<string> = new Set();
  #userActedMs = -1;
  #hasNews = false;

  constructor(graph: UnitGraph) {
    this.#graph = graph;
    this.#nextGraph = graph;
    this.#views = new Map(graph.order.map((name) => [name, newView(graph.unit(name))]));
  }

  read(entry: JournalEntry): void {
    if (entry.atMs > this.#nowMs) {
      this.endOfInstant();
      this.#nowMs = entry.atMs;
    }
    switch (entry.kind) {
      case 'said':
        this.#onEvent(entry.event);
        return;
      case 'user':
        this.#userActedMs = entry.atMs;
        this.#onUser(entry.action, entry.units);
        return;
      case 'graph':
        this.#nextGraph = entry.graph;
        return;
      case 'killed':
        this.#onKilled();
        return;
      case 'revived':
        this.#onRevived(entry.graph);
        return;
      case 'adopted':
        if (this.#view(entry.unit).launched !== entry.generation) this.#broken(entry.unit, 'was adopted unasked');
        this.reached.add('adopted');
        return;
      case 'launched':
      case 'refused':
        this.#onLaunch(this.#view(entry.unit), entry.generation, entry.kind === 'refused');
        return;
      case 'answered':
        this.#view(entry.unit).answered = entry.generation;
        return;
      case 'finished':
        this.#view(entry.unit).finished = entry.generation;
        return;
      case 'exited':
        this.#onExit(this.#view(entry.unit), entry.generation);
        return;
      case 'gone':
        this.#view(entry.unit).alive.delete(entry.generation);
        return;
      case 'signalled':
        this.#checkStopOrder(this.#view(entry.unit), `got ${entry.signal}`);
        return;
      case 'undoing':
        this.#view(entry.unit).undoing = true;
        this.#checkStopOrder(this.#view(entry.unit), 'was undone');
        return;
      case 'undone':
        this.#onUndone(this.#view(entry.unit));
        return;
    }
  }

  #onEvent(event: Event): void {
    switch (event.type) {
      case 'unit.state':
        this.#onState(event);
        return;
      case 'down.started':
        this.#onClosing();
        return;
      case 'reload.started':
        this.#isReloading = true;
        for (const name of [...event.plan.restart, ...event.plan.stop]) this.#view(name).isUncertain = true;
        this.#onGraph(this.#nextGraph);
        this.reached.add('reloaded');
        return;
      case 'reload.finished':
        this.#isReloading = false;
        for (const name of event.plan.restart) this.#certain(this.#view(name));
        if (event.rolledBack.length > 0) this.reached.add('rolled back');
        return;
      default:
    }
  }

  /** Then it is down, unless something has survived. */
  #onUndone(view: View): void {
    view.undoing = false;
    view.isUndone = !view.hasSurvived;
  }

  #onKilled(): void {
    this.reached.add('killed');
    if (this.#isReloading) this.reached.add('killed while reloading');
    if (this.#isClosing) this.reached.add('killed while stopping');
    for (const view of this.#views.values()) forgetSupervisor(view);
    this.#isReloading = false;
    this.#isClosing = false;
    this.#stoppingBefore = new Set();
  }

  #onRevived(graph: UnitGraph): void {
    this.#graph = graph;
    this.#nextGraph = graph;
    for (const name of graph.order) {
      if (!this.#views.has(name)) this.#views.set(name, newView(graph.unit(name)));
      this.#view(name).needs = graph.needs(name);
    }
  }

  /** What the user stops is held down until the user starts it; a restart may come before a retry is due. */
  #onUser(action: UserDeed, units: readonly string[]): void {
    for (const name of units) {
      const view = this.#view(name);
      if (action === 'stop') view.heldWith = units;
      if (action === 'start' || action === 'restart') view.heldWith = undefined;
      if (action === 'restart') view.mayRetryEarly = true;
      if (this.#isReloading) view.isUncertain = true;
    }
    if (action === 'stop') this.reached.add('held');
  }

  /** Other edges from now on; units that are between two definitions get them later. */
  #onGraph(graph: UnitGraph): void {
    for (const name of graph.order) {
      // One that comes back goes on where it was.
      if (!this.#views.has(name)) this.#views.set(name, newView(graph.unit(name)));
      else if (!this.#graph.has(name)) this.#view(name).isUncertain = false;
    }
    // What comes back after a reload has removed it is a new unit: nobody has stopped that.
    for (const [name, view] of this.#views) if (!graph.has(name)) view.heldWith = undefined;
    this.#graph = graph;
    for (const name of graph.order) if (!this.#view(name).isUncertain) this.#certain(this.#view(name));
  }

  #certain(view: View): void {
    const { name } = view.unit;
    const wasUncertain = view.isUncertain;
    view.isUncertain = false;
    if (this.#graph.has(name)) view.needs = this.#graph.needs(name);
    if (wasUncertain && hasRun(view.state)) {
      // It started unseen: what it started without it must be believed, but for what has come since.
      view.missing = new Set((view.snapshot?.degraded ?? []).map(({ unit }) => unit));
    }
    // What it does not wait for counts by what that is now.
    const awaited = new Set(view.needs.filter(isAwaited).map(({ unit }) => unit));
    view.missing = new Set([...view.missing].filter((unit) => awaited.has(unit) && !isUp(this.#view(unit).state)));
  }

  #view(name: string): View {
    const view = this.#views.get(name);
    if (view === undefined) throw new Error(`the journal speaks of "${name}", which is not in the graph`);
    return view;
  }

  #broken(unit: string, rule: string): void {
    this.violations.push(`${this.#nowMs.toFixed(1)} ms: ${unit} ${rule}`);
  }

  #onLaunch(view: View, generation: number, isRefused: boolean): void {
    const { name } = view.unit;
    if (view.alive.size > 0) this.#broken(name, `was launched while generation ${[...view.alive].join()} is alive`);
    if (view.undoing) this.#broken(name, 'was launched while it is being undone');
    if (generation <= view.launched) this.#broken(name, `was launched as generation ${String(generation)} again`);
    if (view.state !== 'starting' || view.snapshot?.generation !== generation) {
      this.#broken(name, `was launched as generation ${String(generation)} in state ${view.state}`);
    }
    if (view.decidedMs !== this.#nowMs) this.#broken(name, 'was launched long after its gates were looked at');
    // A generation of an earlier supervisor may have had the same number.
    Object.assign(view, { launched: generation, answered: 0, finished: 0, outlived: new Set() });
    if (!isRefused) view.alive.add(generation);
  }

  /** The exit of an older generation may become known after the next one was launched. */
  #onExit(view: View, generation: number): void {
    view.exited = Math.max(view.exited, generation);
  }

  #onState({ unit: name, from, snapshot }: EventOf<'unit.state'>): void {
    const view = this.#view(name);
    const before = view.snapshot;
    const { state } = snapshot;
    this.#hasNews = true;
    if (from !== view.state) this.#broken(name, `left ${from}, but was ${view.state}`);
    if (snapshot.generation < (before?.generation ?? 0)) this.#broken(name, 'went back a generation');
    view.snapshot = snapshot;
    view.state = state;
    if (state !== from) this.#onNewState(view, from, before);
    else if (state === 'stopping' && snapshot.lastError !== before?.lastError) view.hasSurvived = admitsSurvivors(view);
    if (snapshot.exhausted !== view.limitReached) {
      this.#broken(
        name,
        `says exhausted: ${String(snapshot.exhausted)}, but by our count: ${String(view.limitReached)}`,
      );
    }
    if (snapshot.degraded.length > 0 && hasRun(state)) this.reached.add('degraded');
  }

  #onNewState(view: View, from: UnitStateName, before: UnitSnapshot | undefined): void {
    const { state, snapshot } = view;
    const { name } = view.unit;
    const generation = snapshot?.generation ?? 0;
    if (state === 'waiting' || state === 'blocked') view.waitsSinceMs = this.#nowMs;
    switch (state) {
      case 'starting':
        if (from === 'inactive') return this.#onAdopted(view, generation);
        this.#checkGates(view);
        view.decidedMs = this.#nowMs;
        if (generation !== (before?.generation ?? 0) + 1) this.#broken(name, 'started without a new generation');
        return;
      case 'ready':
      case 'done':
        if (from === 'inactive') this.#onAdopted(view, generation);
        this.#onReady(view, from, generation);
        return;
      case 'unhealthy':
        this.reached.add('unhealthy');
        return;
      case 'stopping':
        view.isUndone = false;
        view.hasSurvived = false;
        if (hasRun(from)) this.#countFailure(view, from, before);
        return;
      case 'backoff':
        this.reached.add('backoff');
        if (view.limitReached) this.#broken(name, 'is in backoff, but its limit is reached');
        if (view.alive.size > 0) this.#broken(name, 'is in backoff, but its processes are alive');
        return;
      case 'failed':
        this.reached.add('failed');
        view.wasDown = true;
        if (admitsSurvivors(view)) view.limitReached = true;
        if (!view.limitReached) this.#broken(name, 'failed before its limit was reached');
        return;
      case 'blocked':
        this.reached.add('blocked');
        view.wasDown = true;
        return;
      case 'waiting':
        // It was down, if only for no time: the user wanted it again while it was being undone.
        if (from === 'stopping' && view.isUndone) forgetFailures(view);
        if (from === 'stopped' && view.heldWith !== undefined) this.#broken(name, 'starts, but the user stopped it');
        this.#checkRetryTime(view, from, before);
        if (from === 'stopping' && view.alive.size > 0) this.#broken(name, 'starts again over living processes');
        return;
      case 'stopped':
        if (view.isUncertain && this.#graph.has(name) && !this.#isTaken(view)) this.#certain(view);
        forgetFailures(view);
        return;
      case 'inactive':
        this.#broken(name, 'became inactive');
    }
  }

  /** A run of an earlier supervisor: no gate is asked, but it must have outlived it (it may have ended since). */
  #onAdopted(view: View, generation: number): void {
    const isThere = view.state === 'done' ? view.finished === generation : view.outlived.has(generation);
    if (!isThere) this.#broken(view.unit.name, `adopts generation ${String(generation)}, which is not there`);
    view.launched = generation;
  }

  #onReady(view: View, from: UnitStateName, generation: number): void {
    const { name } = view.unit;
    for (const { unit } of this.#graph.dependents(name)) this.#view(unit).missing.delete(name);
    if (from === 'unhealthy') return;
    const isAdoptedTask = from === 'inactive' && view.state === 'done';
    if (from !== 'starting' && !isAdoptedTask) this.#broken(name, `became ready from ${from}`);
    if (!isTrulyReady(view, generation))
      this.#broken(name, `became ready, but generation ${String(generation)} is not`);
    if (!this.firstReadyMs.has(name)) this.firstReadyMs.set(name, this.#nowMs);
    if (view.wasDown) this.reached.add('recovered');
    Object.assign(view, { failedStarts: 0, limitReached: false, readySinceMs: this.#nowMs, wasDown: false });
    if (view.state === 'done') view.failuresMs = [];
  }

  /** A stop that nobody asked for is a failure if it brought an error: counted as contract 1 says. */
  #countFailure(view: View, from: UnitStateName, before: UnitSnapshot | undefined): void {
    const { snapshot } = view;
    if (snapshot?.desired !== 'up' || snapshot.lastError === before?.lastError) return;
    const { limit, resetAfter, when } = view.unit.restart;
    const told = snapshot.lastError?.detail.generation;
    if (told !== snapshot.generation) this.#broken(view.unit.name, `believes an error of generation ${String(told)}`);
    if (from === 'starting') {
      view.failedStarts += 1;
      view.failuresMs = view.failuresMs.filter((atMs) => this.#nowMs - atMs < limit.within);
    } else {
      const isQuiet = this.#nowMs - view.readySinceMs >= resetAfter;
      const recent = isQuiet ? [] : view.failuresMs.filter((atMs) => this.#nowMs - atMs < limit.within);
      view.failuresMs = [...recent, this.#nowMs];
      view.failedStarts = 0;
    }
    const isOver = view.failedStarts >= limit.starts || view.failuresMs.length >= limit.starts;
    if (isOver || when === 'never') view.limitReached = true;
  }

  /** The user moved it while a reload does: when it gets its new edges is not to be seen. */
  #isTaken(view: View): boolean {
    return this.#isReloading && (view.heldWith !== undefined || view.mayRetryEarly);
  }

  #checkRetryTime(view: View, from: UnitStateName, before: UnitSnapshot | undefined): void {
    if (from !== 'backoff' && from !== 'failed') return;
    const retryMs = before?.nextRetryAt?.monotonicMs ?? Number.POSITIVE_INFINITY;
    const isEarly = this.#nowMs < retryMs - epsilonMs && this.#userActedMs !== this.#nowMs;
    // One that a reload is changing may be rolled back, which tries at once.
    if (isEarly && !view.mayRetryEarly && !view.isUncertain) {
      this.#broken(view.unit.name, `is tried again ${(retryMs - this.#nowMs).toFixed(1)} ms too early`);
    }
    view.mayRetryEarly = false;
  }

  #cannotStart(view: View): boolean {
    return view.state === 'blocked' || (view.limitReached && !isUp(view.state));
  }

  #isAbsent(view: View): boolean {
    return this.#cannotStart(view) || view.snapshot?.stoppedByUser === true;
  }

  /** How a gate stands now, by what is true of the target. */
  #gate(view: View, need: Need, earlyMs = 0): 'open' | 'without it' | 'closed' | 'blocked' {
    const target = this.#view(need.unit);
    if (need.kind === 'parallel' || !isAwaited(need) || isUp(target.state)) return 'open';
    if (need.kind === 'soft') {
      if (this.#isAbsent(target)) return 'without it';
      return this.#nowMs - view.waitsSinceMs >= need.maxWaitMs - earlyMs ? 'without it' : 'closed';
    }
    if (need.until === 'started') {
      const runs = target.state === 'starting' && target.launched === target.snapshot?.generation;
      if (target.state === 'unhealthy' || (runs && target.unit.kind !== 'builtin')) return 'open';
    }
    return this.#cannotStart(target) ? 'blocked' : 'closed';
  }

  /** No unit runs before its gate. */
  #checkGates(view: View): void {
    const { name } = view.unit;
    if (this.#isClosing) this.#broken(name, 'starts while everything is being stopped');
    view.missing = new Set();
    if (view.isUncertain) return;
    for (const need of view.needs) {
      const gate = this.#gate(view, need, epsilonMs);
      if (gate === 'without it') view.missing.add(need.unit);
      if (gate !== 'open' && gate !== 'without it') {
        this.#broken(
          name,
          `starts, but its ${need.kind} gate ${need.unit} is ${gate} (${this.#view(need.unit).state})`,
        );
      }
      const target = this.#view(need.unit);
      if (need.kind === 'hard' && need.until === 'ready' && !isTrulyReady(target, target.launched)) {
        this.#broken(name, `starts, but ${need.unit} was never ready as generation ${String(target.launched)}`);
      }
    }
  }

  #onClosing(): void {
    this.#isClosing = true;
    const isStopping = ({ state, snapshot }: View) => state === 'stopping' && snapshot?.desired === 'down';
    const stopping = [...this.#views].filter(([, view]) => isStopping(view));
    this.#stoppingBefore = new Set(stopping.map(([name]) => name));
  }

  /** A unit is ended only after its hard and soft dependents: of all, or of those that the user stopped with it. */
  #checkStopOrder(view: View, what: string): void {
    if (this.#isClosing && this.#stoppingBefore.has(view.unit.name)) return;
    if (view.snapshot?.desired !== 'down' || view.isUncertain || !this.#graph.has(view.unit.name)) return;
    const together = this.#isClosing ? this.#graph.order : view.snapshot.stoppedByUser === true ? view.heldWith : [];
    for (const { unit, need } of this.#graph.dependents(view.unit.name)) {
      if (need.kind === 'parallel' || together?.includes(unit) !== true) continue;
      const dependent = this.#view(unit);
      const isOver = dependent.state === 'stopped' || dependent.state === 'inactive';
      const isGone = dependent.alive.size === 0 || admitsSurvivors(dependent);
      if (isOver && isGone && !dependent.undoing) continue;
      this.#broken(view.unit.name, `${what} before its dependent ${unit} was gone (${dependent.state})`);
    }
  }

  endOfInstant(): void {
    if (!this.#hasNews && this.violations.length > 20) return;
    this.#hasNews = false;
    for (const view of this.#views.values()) {
      this.#checkSettled(view);
      this.#checkDegraded(view);
    }
  }

  /** The user's stop of it and of what goes with it is through: before that its turn may not have come. */
  #isHeldDown({ heldWith }: View): boolean {
    return heldWith?.every((name) => this.#view(name).state === 'stopped') === true;
  }

  #checkSettled(view: View): void {
    const { unit, state, snapshot } = view;
    const { name } = unit;
    switch (state) {
      case 'waiting':
      case 'blocked':
        this.#checkWaits(view);
        return;
      case 'stopped':
        if (!this.#isClosing && this.#isHeldDown(view) && snapshot?.stoppedByUser !== true) {
          this.#broken(name, 'was stopped by the user, and does not say so');
        }
        return;
      case 'starting':
        if (view.launched !== snapshot?.generation) this.#broken(name, 'is starting, but was not launched');
        // An adopted one is asked again, and may be unwell at the moment.
        if (view.outlived.has(view.launched)) return;
        if (unit.ready?.notify === true && view.answered === view.launched && view.exited !== view.launched) {
          this.#broken(name, 'has said that it is ready, and is not believed');
        }
        return;
      case 'ready':
      case 'unhealthy':
        if (view.exited === snapshot?.generation) this.#broken(name, `is ${state}, but its process has exited`);
        return;
      case 'backoff':
      case 'failed':
        if ((snapshot?.nextRetryAt?.monotonicMs ?? Number.POSITIVE_INFINITY) < this.#nowMs - epsilonMs) {
          this.#broken(name, 'was not tried again when it was time');
        }
        return;
      default:
    }
  }

  /** What waits has a gate to wait for; what is blocked names a root that is really failing. */
  #checkWaits(view: View): void {
    const { name } = view.unit;
    if (this.#isClosing || view.isUncertain || view.snapshot?.desired !== 'up') return;
    const gates = view.needs.map((need) => this.#gate(view, need));
    const isBlocked = gates.includes('blocked');
    if (!isBlocked && !gates.includes('closed')) this.#broken(name, `is ${view.state}, but its gates are open`);
    if (isBlocked !== (view.state === 'blocked')) {
      this.#broken(name, `is ${view.state}, but a hard dependency ${isBlocked ? 'cannot start' : 'can still start'}`);
    }
    if (view.state === 'blocked') this.#checkRootCause(view);
  }

  #checkRootCause(view: View): void {
    const { name } = view.unit;
    const chain = causeChain(view.snapshot?.lastError).filter((error) => error instanceof ReadinessError);
    const names = chain.map(({ detail }) => detail.component);
    if (names[0] !== name || names.length < 2) {
      this.#broken(name, `is blocked with the chain ${names.join(' <- ') || 'of nothing'}`);
      return;
    }
    for (const [index, from] of names.slice(0, -1).entries()) {
      const to = names[index + 1] ?? '';
      const hasEdge = this.#view(from).needs.some((need) => need.kind === 'hard' && need.unit === to);
      if (!hasEdge) this.#broken(name, `is blocked by ${from} <- ${to}, which is no hard edge`);
    }
    const root = this.#view(names.at(-1) ?? '');
    if (!root.limitReached || isUp(root.state)) {
      this.#broken(name, `names ${root.unit.name} as its root cause, which is ${root.state}`);
    }
    if (root.snapshot?.lastError !== chain.at(-1)) this.#broken(name, `names an old error of ${root.unit.name}`);
  }

  #checkDegraded(view: View): void {
    const { snapshot, state } = view;
    if (!hasRun(state) || view.isUncertain) return;
    const notAwaited = view.needs
      .filter((need) => !isAwaited(need) && this.#isAbsent(this.#view(need.unit)))
      .map(({ unit }) => unit);
    const expected = [...view.missing, ...notAwaited].sort().join();
    const said = (snapshot?.degraded ?? [])
      .map(({ unit }) => unit)
      .sort()
      .join();
    if (expected !== said) this.#broken(view.unit.name, `says it is degraded by [${said}], but it is by [${expected}]`);
  }
}
