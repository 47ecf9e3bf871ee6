/**
 * One unit's life: feeds the machine with inputs, performs its effects, publishes its snapshot.
 * The only writer of that unit's state. Runners never call each other: they read the snapshots of
 * their dependencies, so a failure travels along the edges of the graph and nowhere else.
 */
import { oneLine } from '../error/render.ts';
import type { EventStream } from '../event/stream.ts';
import { latch } from '../kernel/latch.ts';
import { unreachable } from '../kernel/unreachable.ts';
import type { RunRecord } from '../process/run-record.ts';
import type { Need, Unit } from '../unit/schema.ts';
import type { Moment, UnitSnapshot, WaitingFor } from '../unit/state.ts';
import { readinessChannel, type ReadinessChannel } from './channel.ts';
import { DependencyWatch, isSameWait } from './dependency-watch.ts';
import { lastOutput, leftoverError } from './failure.ts';
import { blockedError, type Gates } from './gates.ts';
import { policyOf } from './policy.ts';
import type { ExecutorPorts } from './ports.ts';
import { runReport } from './run-report.ts';
import { startRun, type Run } from './run.ts';
import { buildSnapshot, type SnapshotDetails } from './snapshot.ts';
import type { StartQueue } from './start-queue.ts';
import { runUndo } from './undo.ts';
import { initialMachine, step, type Effect, type Input, type Machine } from './unit-machine.ts';

/** When a unit that waits says so. Source: design contract 1. */
const waitingNoticesMs = [1000, 5000, 30_000] as const;

export interface RunnerOptions {
  readonly unit: Unit;
  readonly needs: readonly Need[];
  /** Start priority: a longer tail goes first. */
  readonly tailMs: number;
  readonly ports: ExecutorPorts;
  readonly events: EventStream;
  readonly startQueue: StartQueue;
  /** A run of an earlier k3s-lite that is gone on with when the unit is first wanted. */
  readonly adopted: RunRecord | undefined;
  snapshotOf(unit: string): UnitSnapshot;
  /** While true no gate opens: everything is being stopped. */
  isClosing(): boolean;
  /** Aborts when a stop has to hurry. */
  readonly hurry: AbortSignal;
  /** Called after each change of the snapshot. */
  onChange(runner: UnitRunner, before: UnitSnapshot): void;
}

/** One unit's inner state, for a dump. */
export interface UnitInspection {
  readonly unit: string;
  readonly machine: Machine;
  readonly gates: Gates;
  /** Timers of the present state, with the ms until each fires. */
  readonly timersMs: readonly number[];
  readonly hasRun: boolean;
  readonly leftovers: readonly string[];
}

export class UnitRunner {
  readonly channel: ReadinessChannel;
  /** What a stop could not clear: one line each. */
  readonly leftovers: string[] = [];
  readonly #options: RunnerOptions;
  #unit: Unit;
  #tailMs: number;
  #policy;
  readonly #dependencies: DependencyWatch;
  readonly #snapshots;
  readonly #inputs: Input[] = [];
  #isStepping = false;
  #machine: Machine = initialMachine;
  #details: SnapshotDetails = { waitingFor: [], degraded: [] };
  #since: Moment;
  #run: Run | undefined;
  /** Timers and queue entries that mean something in the present state only. */
  #whileInState: Disposable[] = [];
  /** When the timers of the present state fire, on the monotonic clock. */
  #timersAtMs: number[] = [];

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#unit = options.unit;
    this.#tailMs = options.tailMs;
    this.#policy = policyOf(options.unit);
    this.#dependencies = new DependencyWatch(options.needs, (unit) => options.snapshotOf(unit));
    this.#since = this.#now();
    this.#snapshots = latch(buildSnapshot(this.unit.name, this.#machine, this.#since, this.#details));
    this.channel = readinessChannel(this.#snapshots);
  }

  get unit(): Unit {
    return this.#unit;
  }

  /** `byUser`: it is told so, until the unit is wanted up again. */
  want(desired: 'up' | 'down', { byUser = false } = {}): void {
    if (desired === 'up') this.#details = { ...this.#details, stoppedByUser: undefined };
    else if (byUser) this.#details = { ...this.#details, stoppedByUser: true };
    const { adopted } = this.#options;
    if (desired === 'up' && adopted !== undefined && this.#machine.state.id === 'inactive') {
      const { generation, pid, finished } = adopted;
      this.#send({ type: 'adopt', run: finished === true ? { generation } : { generation, pid } });
    } else this.#send({ type: 'want', desired });
  }

  /** Takes over another definition of the unit: for its edges at once, for the rest at its next start. */
  redefine({ unit, needs, tailMs }: Pick<RunnerOptions, 'unit' | 'needs' | 'tailMs'>): void {
    this.#unit = unit;
    this.#policy = policyOf(unit);
    this.#tailMs = tailMs;
    const { id } = this.#machine.state;
    this.#dependencies.rewire(needs, id === 'starting' || id === 'ready' || id === 'unhealthy' || id === 'done');
    this.onDependency();
  }

  /** Something hints that trying again is worth while. */
  retry(): void {
    this.#send({ type: 'retry' });
  }

  restart(): void {
    this.#send({ type: 'restart' });
  }

  inspect(): UnitInspection {
    const nowMs = this.#now().monotonicMs;
    return {
      unit: this.unit.name,
      machine: this.#machine,
      gates: this.#dependencies.gates(nowMs - this.#since.monotonicMs),
      timersMs: this.#timersAtMs.map((atMs) => atMs - nowMs).filter((inMs) => inMs > 0),
      hasRun: this.#run !== undefined,
      leftovers: this.leftovers,
    };
  }

  /** To be called when a dependency's snapshot has changed. */
  onDependency(): void {
    const { id } = this.#machine.state;
    if (id === 'waiting' || id === 'blocked') this.#lookAtGates();
    else if (id === 'starting' || id === 'ready' || id === 'unhealthy' || id === 'done') this.#lookForLoss();
    this.#refreshDegraded();
  }

  /** Inputs that arrive while one is being applied wait for their turn. */
  #send(input: Input): void {
    this.#inputs.push(input);
    if (this.#isStepping) return;
    this.#isStepping = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) this.#apply(next);
    } finally {
      this.#isStepping = false;
    }
  }

  #apply(input: Input): void {
    const before = this.#machine;
    const { machine, effects } = step(before, input, {
      nowMs: this.#options.ports.clock.monotonicMs(),
      random: this.#options.ports.random,
      policy: this.#policy,
    });
    if (machine === before) return;
    this.#machine = machine;
    const isNewState = machine.state.id !== before.state.id;
    if (isNewState) this.#enter(machine);
    this.#publish();
    for (const effect of effects) this.#perform(effect);
    if (isNewState && machine.state.id === 'waiting') this.#lookAtGates();
  }

  #enter({ state, lastError }: Machine): void {
    this.#since = this.#now();
    for (const item of this.#whileInState.splice(0)) item[Symbol.dispose]();
    this.#timersAtMs = [];
    const { waitingFor: _passed, ...details } = this.#details;
    switch (state.id) {
      case 'waiting':
        for (const waitedMs of waitingNoticesMs) this.#timer(waitedMs, () => this.#sayWaiting(waitedMs));
        return;
      case 'blocked':
        return;
      case 'starting':
        this.#details = { waitingFor: [], degraded: details.degraded, lastFailure: details.lastFailure };
        return;
      case 'ready':
      case 'done':
        this.#details = { ...details, waitingFor: [], readyAt: details.readyAt ?? this.#since };
        return;
      case 'backoff':
      case 'failed':
        this.#details = { ...details, waitingFor: [] };
        if (state.retryAtMs !== undefined) this.#timer(state.retryAtMs - this.#since.monotonicMs, () => this.retry());
        if (state.id === 'failed') {
          this.#options.events.emit({ type: 'unit.failed', unit: this.unit.name, error: state.error });
        }
        return;
      case 'stopping':
        this.#details = { ...details, waitingFor: [] };
        if (state.next === 'retry' && lastError !== undefined) {
          this.#details = { ...this.#details, lastFailure: { at: this.#since, text: oneLine(lastError) } };
        }
        return;
      default:
        this.#details = { ...details, waitingFor: [] };
    }
  }

  #sayWaiting(waitedMs: number): void {
    const snapshot = this.channel.current;
    this.#options.events.emit({ type: 'unit.waiting', unit: this.unit.name, waitedMs, snapshot });
  }

  #perform(effect: Effect): void {
    const { startQueue } = this.#options;
    switch (effect.type) {
      case 'start':
        this.#whileInState.push(startQueue.add(this.#tailMs, () => this.#start(effect.generation)));
        return;
      case 'adopt':
        // At once: a stop that comes before would find no run, and leave its process alive.
        this.#dependencies.bindAdopted();
        this.#start(effect.generation, this.#options.adopted);
        return;
      case 'watch':
        this.#run?.watch();
        return;
      case 'stop':
        void this.#stop(effect.generation);
        return;
      case 'undo':
        void this.#undo();
        return;
      default:
        unreachable(effect);
    }
  }

  #start(generation: number, adopted?: RunRecord): void {
    const { unit } = this;
    const { ports, events, snapshotOf } = this.#options;
    this.#run = startRun({
      unit,
      generation,
      ports,
      snapshotOf,
      ...(adopted === undefined ? {} : { adopted }),
      report: runReport({
        unit,
        generation,
        events,
        send: (input) => this.#send(input),
        note: (details) => {
          // The exit of a stopped generation may become known when the next one runs.
          if (generation !== this.#machine.generation) return;
          this.#details = { ...this.#details, ...details };
          this.#publish();
        },
        now: () => this.#now(),
      }),
    });
  }

  async #stop(generation: number): Promise<void> {
    const { events, hurry, ports } = this.#options;
    const unit = this.unit.name;
    let pids: readonly number[] = [];
    let problem: string | undefined;
    try {
      const onStep = (signal: string, remaining: readonly number[]) =>
        events.emit({ type: 'process.stopping', unit, generation, signal, remaining });
      pids = (await this.#run?.stop({ hurry, onStep })) ?? [];
    } catch (error) {
      // It proves nothing: until a stop has looked and found nothing, no next generation may start.
      problem = String(error);
    }
    if (pids.length === 0 && problem === undefined) {
      this.#run = undefined;
      this.leftovers.length = 0;
      this.#send({ type: 'stopped', generation });
      return;
    }
    const elapsedMs = ports.clock.monotonicMs() - this.#since.monotonicMs;
    const lastLogLines = lastOutput(ports.process.log(unit));
    const facts = { component: unit, generation, phase: 'stop', elapsedMs, lastLogLines } as const;
    const leftover = leftoverError(facts, pids, problem);
    this.leftovers.push(leftover.message);
    this.#send({ type: 'stopped', generation, leftover });
  }

  async #undo(): Promise<void> {
    const { ports, events, snapshotOf } = this.#options;
    const failure = await runUndo({ unit: this.unit, generation: this.#machine.generation, ports, snapshotOf });
    if (failure !== undefined) {
      this.leftovers.push(failure);
      events.emit({ type: 'notice', level: 'warning', unit: this.unit.name, text: failure });
    }
    this.#send({ type: 'undone' });
  }

  #lookAtGates(): void {
    if (this.#options.isClosing()) return;
    const waitedMs = this.#options.ports.clock.monotonicMs() - this.#since.monotonicMs;
    const gates = this.#dependencies.gates(waitedMs);
    const waitingFor = gates.kind === 'open' ? [] : gates.waitingFor;
    this.#tellOpened(waitingFor);
    const { state, generation } = this.#machine;
    const isNews = !isSameWait(waitingFor, this.#details.waitingFor);
    this.#details = { ...this.#details, waitingFor };
    switch (gates.kind) {
      case 'open':
        this.#dependencies.bind(gates.missing);
        this.#details = { ...this.#details, degraded: this.#dependencies.degraded() };
        this.#send({ type: 'gates', gates: 'open' });
        return;
      case 'blocked':
        if (state.id === 'blocked' && state.error.cause === gates.by.lastError) {
          if (isNews) this.#publish();
          return;
        }
        this.#send({
          type: 'gates',
          gates: 'blocked',
          error: blockedError(this.unit.name, generation, gates.by, waitedMs),
        });
        return;
      case 'closed':
        if (state.id === 'blocked') this.#send({ type: 'gates', gates: 'closed' });
        else if (isNews) this.#publish();
        if (gates.softDeadlineMs !== undefined) this.#timer(gates.softDeadlineMs - waitedMs, () => this.onDependency());
        return;
      default:
        unreachable(gates);
    }
  }

  #tellOpened(waitingFor: readonly WaitingFor[]): void {
    const closed = new Set(waitingFor.map(({ unit }) => unit));
    for (const { unit: dependency, kind } of this.#details.waitingFor) {
      if (closed.has(dependency)) continue;
      this.#options.events.emit({
        type: 'unit.gate',
        unit: this.unit.name,
        dependency,
        kind,
        last: closed.size === 0,
      });
    }
  }

  #lookForLoss(): void {
    if (this.#options.isClosing()) return;
    const loss = this.#dependencies.takeLoss();
    if (loss === undefined) return;
    const unit = this.unit.name;
    const text = `${unit} ${loss.then === 'stop' ? 'stops' : 'restarts'}: it lost ${loss.unit}`;
    this.#options.events.emit({ type: 'notice', level: 'info', unit, text });
    this.#send(loss.then === 'stop' ? { type: 'want', desired: 'down' } : { type: 'restart' });
  }

  #refreshDegraded(): void {
    const degraded = this.#dependencies.degraded();
    const before = this.#details.degraded;
    if (degraded.length === before.length && degraded.every((item, index) => item.unit === before[index]?.unit)) return;
    this.#details = { ...this.#details, degraded };
    this.#publish();
  }

  #publish(): void {
    const before = this.#snapshots.current;
    this.#snapshots.set(buildSnapshot(this.unit.name, this.#machine, this.#since, this.#details));
    this.#options.onChange(this, before);
  }

  #timer(delayMs: number, fire: () => void): void {
    this.#timersAtMs.push(this.#now().monotonicMs + delayMs);
    this.#whileInState.push(this.#options.ports.clock.timer(delayMs, fire));
  }

  #now(): Moment {
    const { clock } = this.#options.ports;
    return { wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs() };
  }
}
