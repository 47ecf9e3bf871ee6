/**
 * The runs of one unit, one after the other: starts, watches and ends them, and takes back what they
 * did. It decides nothing: what becomes of them goes to the unit's machine as inputs.
 */
import type { EventStream } from '../event/stream.ts';
import type { RunRecord } from '../process/run-record.ts';
import type { Unit } from '../unit/schema.ts';
import type { Moment, UnitSnapshot } from '../unit/state.ts';
import { lastOutput, leftoverError } from './failure.ts';
import type { Input } from './machine.ts';
import type { ExecutorPorts } from './ports.ts';
import { runReport } from './run-report.ts';
import { startRun, type Run } from './run.ts';
import type { RunDetails } from './snapshot.ts';
import { runUndo } from './undo.ts';

export interface UnitRunsOptions {
  readonly ports: ExecutorPorts;
  readonly events: EventStream;
  /** Aborts when a stop has to hurry. */
  readonly hurry: AbortSignal;
  snapshotOf(unit: string): UnitSnapshot;
  send(input: Input): void;
  /** Something to be shown of generation number `generation`, which may be an older one. */
  note(generation: number, details: Partial<RunDetails>): void;
  now(): Moment;
}

export class UnitRuns {
  /** What a stop could not clear: one line each. */
  readonly leftovers: string[] = [];
  readonly #options: UnitRunsOptions;
  #run: Run | undefined;

  constructor(options: UnitRunsOptions) {
    this.#options = options;
  }

  /** A generation was started and not found gone since. */
  get hasRun(): boolean {
    return this.#run !== undefined;
  }

  start(unit: Unit, generation: number, adopted?: RunRecord): void {
    const { ports, events, snapshotOf, send, note, now } = this.#options;
    const noteOwn = (details: Partial<RunDetails>) => note(generation, details);
    this.#run = startRun({
      unit,
      generation,
      ports,
      snapshotOf,
      ...(adopted === undefined ? {} : { adopted }),
      report: runReport({ unit, generation, events, send, note: noteOwn, now }),
    });
  }

  watch(): void {
    this.#run?.watch();
  }

  /** Ends what runs, verified, and says what survived. Never rejects. */
  async stop({ name: unit }: Unit, generation: number): Promise<void> {
    const { ports, events, hurry, send } = this.#options;
    const sinceMs = ports.clock.monotonicMs();
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
      send({ type: 'stopped', generation });
      return;
    }
    const elapsedMs = ports.clock.monotonicMs() - sinceMs;
    const lastLogLines = lastOutput(ports.process.log(unit));
    const facts = { component: unit, generation, phase: 'stop', elapsedMs, lastLogLines } as const;
    const leftover = leftoverError(facts, pids, problem);
    this.leftovers.push(leftover.message);
    send({ type: 'stopped', generation, leftover });
  }

  /** Never rejects. */
  async undo(unit: Unit, generation: number): Promise<void> {
    const { ports, events, snapshotOf, send } = this.#options;
    const failure = await runUndo({ unit, generation, ports, snapshotOf });
    if (failure !== undefined) {
      this.leftovers.push(failure);
      events.emit({ type: 'notice', level: 'warning', unit: unit.name, text: failure });
    }
    send({ type: 'undone' });
  }
}
