/** Turns what a run reports into inputs of the machine, details of the snapshot, and events. */
import type { EventStream } from '../event/stream.ts';
import type { Unit } from '../unit/schema.ts';
import type { Moment } from '../unit/state.ts';
import type { RunReport } from './run-context.ts';
import type { RunDetails } from './snapshot.ts';
import type { Input } from './machine.ts';

export interface RunReportOptions {
  readonly unit: Unit;
  readonly generation: number;
  readonly events: EventStream;
  send(input: Input): void;
  note(details: Partial<RunDetails>): void;
  now(): Moment;
}

export function runReport({
  unit: { name: unit, run: argv },
  generation,
  events,
  send,
  note,
  now,
}: RunReportOptions): RunReport {
  return {
    spawned(pid) {
      events.emit({ type: 'process.spawned', unit, generation, pid, argv });
      note({ startedAt: now() });
      send({ type: 'spawned', generation, pid });
    },
    adopted({ pid, startedWallMs, finished = false }) {
      events.emit({ type: 'process.adopted', unit, generation, pid, startedWallMs, finished });
      const { wallMs, monotonicMs } = now();
      note({ startedAt: { wallMs: startedWallMs, monotonicMs: monotonicMs - (wallMs - startedWallMs) } });
    },
    passed: (finished) => send({ type: 'passed', generation, finished }),
    failed: (error) => send({ type: 'failed', generation, error }),
    exited: (clean, error) => send({ type: 'exited', generation, clean, error }),
    healthy: () => send({ type: 'healthy', generation }),
    unhealthy: (error, restart) => send({ type: 'unhealthy', generation, error, restart }),
    status(status) {
      events.emit({ type: 'notify.status', unit, generation, status });
      note({ status });
    },
    warned: (text) => events.emit({ type: 'notice', level: 'warning', text, unit }),
    figures: (figures) => events.emit({ type: 'notify.figures', unit, generation, figures }),
    attempt: (phase, check, attempt, count) =>
      events.emit({ type: 'probe.attempt', unit, generation, phase, check, attempt, count }),
    hint: (source) => events.emit({ type: 'probe.hint', unit, generation, source }),
    processExited(pid, exit) {
      events.emit({ type: 'process.exited', unit, generation, pid, exit });
      note({ exit });
    },
  };
}
