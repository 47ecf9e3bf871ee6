/**
 * One unit's life: feeds the machine with inputs, performs its effects, publishes its snapshot.
 * The only writer of that unit's state. Runners never call each other: they read the snapshots of
 * their dependencies, so a failure travels along the edges of the graph and nowhere else.
 */
import type { EventStream } from '../event/stream.ts';
import { latch } from '../kernel/latch.ts';
import { unreachable } from '../kernel/unreachable.ts';
import type { RunRecord } from '../process/run-record.ts';
import type { Need, Unit } from '../unit/schema.ts';
import type { Moment, UnitSnapshot } from '../unit/state.ts';
import { readinessChannel, type ReadinessChannel } from './channel.ts';
import { GateKeeper } from './gate-keeper.ts';
import type { Gates } from './gates.ts';
import { hasRun, initialMachine, type Effect, type Input, type Machine } from './machine.ts';
import { policyOf } from './policy.ts';
import type { ExecutorPorts } from './ports.ts';
import { buildSnapshot, detailsIn, type RunDetails } from './snapshot.ts';
import type { StartQueue } from './start-queue.ts';
import { StateTimers } from './state-timers.ts';
import { step } from './unit-machine.ts';
import { UnitRuns } from './unit-runs.ts';

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
  readonly #options: RunnerOptions;
  #unit: Unit;
  /** From the end of the present run on. */
  #nextUnit: Unit;
  #tailMs: number;
  #policy;
  readonly #gates: GateKeeper;
  readonly #snapshots;
  readonly #inputs: Input[] = [];
  #isStepping = false;
  #machine: Machine = initialMachine;
  #details: RunDetails = {};
  #since: Moment;
  readonly #runs: UnitRuns;
  readonly #timers: StateTimers;

  constructor(options: RunnerOptions) {
    const { unit, needs, ports, events, hurry, snapshotOf } = options;
    this.#options = options;
    this.#unit = unit;
    this.#nextUnit = unit;
    this.#tailMs = options.tailMs;
    this.#policy = policyOf(unit);
    this.#gates = new GateKeeper({ unit: unit.name, needs, events, snapshotOf });
    this.#timers = new StateTimers(ports.clock);
    this.#runs = new UnitRuns({
      ports,
      events,
      hurry,
      snapshotOf,
      send: (input) => this.#send(input),
      note: (generation, details) => this.#note(generation, details),
      now: () => this.#now(),
    });
    this.#since = this.#now();
    this.#snapshots = latch(this.#snapshot());
    this.channel = readinessChannel(this.#snapshots);
  }

  get unit(): Unit {
    return this.#unit;
  }

  /** What a stop could not clear: one line each. */
  get leftovers(): readonly string[] {
    return this.#runs.leftovers;
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

  /** Takes over another definition of the unit: its edges at once, the rest when the present run is over. */
  redefine({ unit, needs, tailMs }: Pick<RunnerOptions, 'unit' | 'needs' | 'tailMs'>): void {
    this.#nextUnit = unit;
    this.#tailMs = tailMs;
    this.#takeDefinition();
    this.#gates.rewire(needs, this.#machine);
    this.onDependency();
  }

  /** What runs is stopped and undone as it was started. */
  #takeDefinition(): void {
    const { state } = this.#machine;
    if (hasRun(state) || state.id === 'stopping') return;
    this.#unit = this.#nextUnit;
    this.#policy = policyOf(this.#unit);
  }

  /** Something hints that trying again is worth while. */
  retry(): void {
    this.#send({ type: 'retry' });
  }

  restart(): void {
    this.#send({ type: 'restart' });
  }

  inspect(): UnitInspection {
    return {
      unit: this.unit.name,
      machine: this.#machine,
      gates: this.#gates.gates(this.#inStateMs()),
      timersMs: this.#timers.remainingMs(),
      hasRun: this.#runs.hasRun,
      leftovers: this.leftovers,
    };
  }

  /** To be called when a dependency's snapshot has changed. */
  onDependency(): void {
    const { state } = this.#machine;
    if (!this.#options.isClosing()) {
      if (state.id === 'waiting' || state.id === 'blocked') this.#lookAtGates();
      else if (hasRun(state)) this.#lookForLoss();
    }
    if (this.#gates.refreshDegraded()) this.#publish();
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
    if (isNewState && machine.state.id === 'waiting' && !this.#options.isClosing()) this.#lookAtGates();
  }

  #enter(machine: Machine): void {
    const { state } = machine;
    const { events } = this.#options;
    const unit = this.unit.name;
    this.#takeDefinition();
    this.#since = this.#now();
    this.#timers.clear();
    this.#details = detailsIn(machine, this.#details, this.#since);
    if (state.id !== 'waiting' && state.id !== 'blocked') this.#gates.endWait();
    if (state.id === 'waiting') {
      for (const waitedMs of waitingNoticesMs) {
        this.#timers.set(waitedMs, () =>
          events.emit({ type: 'unit.waiting', unit, waitedMs, snapshot: this.channel.current }),
        );
      }
    }
    if ((state.id === 'backoff' || state.id === 'failed') && state.retryAtMs !== undefined) {
      this.#timers.set(state.retryAtMs - this.#since.monotonicMs, () => this.retry());
    }
    if (state.id === 'failed') events.emit({ type: 'unit.failed', unit, error: state.error });
  }

  #perform(effect: Effect): void {
    const { unit } = this;
    const runs = this.#runs;
    switch (effect.type) {
      case 'start': {
        const { startQueue } = this.#options;
        this.#timers.add(startQueue.add(this.#tailMs, () => runs.start(this.unit, effect.generation)));
        return;
      }
      case 'adopt':
        // At once: a stop that comes before would find no run, and leave its process alive.
        this.#gates.bindAdopted();
        runs.start(unit, effect.generation, this.#options.adopted);
        return;
      case 'watch':
        runs.watch();
        return;
      case 'stop':
        void runs.stop(unit, effect.generation);
        return;
      case 'undo':
        void runs.undo(unit, this.#machine.generation);
        return;
      default:
        unreachable(effect);
    }
  }

  #note(generation: number, details: Partial<RunDetails>): void {
    // The exit of a stopped generation may become known when the next one runs.
    if (generation !== this.#machine.generation) return;
    this.#details = { ...this.#details, ...details };
    this.#publish();
  }

  #lookAtGates(): void {
    const { input, isNews, lookAgainInMs } = this.#gates.look(this.#machine, this.#inStateMs());
    // Where that leads to, it looks again.
    if (input !== undefined) return this.#send(input);
    if (isNews) this.#publish();
    if (lookAgainInMs !== undefined) this.#timers.set(lookAgainInMs, () => this.onDependency());
  }

  #lookForLoss(): void {
    const input = this.#gates.takeLoss();
    if (input !== undefined) this.#send(input);
  }

  #snapshot(): UnitSnapshot {
    const { waitingFor, degraded } = this.#gates;
    return buildSnapshot({
      unit: this.unit.name,
      machine: this.#machine,
      since: this.#since,
      details: this.#details,
      edges: { waitingFor, degraded },
    });
  }

  #publish(): void {
    const before = this.#snapshots.current;
    this.#snapshots.set(this.#snapshot());
    this.#options.onChange(this, before);
  }

  #inStateMs(): number {
    return this.#now().monotonicMs - this.#since.monotonicMs;
  }

  #now(): Moment {
    const { clock } = this.#options.ports;
    return { wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs() };
  }
}
