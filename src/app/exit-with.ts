/**
 * `up --exit-with UNIT`: the unit for whose sake the others run, as in a container of one service.
 * When it has ended for good, everything is stopped, and its exit code is that of `up`.
 */
import { constants } from 'node:os';
import { exitCode } from '../error/codes.ts';
import { describeExit, type Exit } from '../error/readiness-error.ts';
import { StartupError } from '../error/startup-error.ts';
import type { EventStream } from '../event/stream.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';
import { unknownUnitError } from '../graph/unknown-unit.ts';
import type { UnitSnapshot } from '../unit/state.ts';

/** @throws StartupError ERR_UNKNOWN_UNIT, or ERR_CONFIG if nobody starts it */
export function checkExitWith(unit: string | undefined, graph: UnitGraph, wanted: readonly string[]): void {
  if (unit === undefined) return;
  if (!graph.has(unit)) throw unknownUnitError(unit, graph.order);
  if (wanted.includes(unit)) return;
  throw new StartupError('ERR_CONFIG', `--exit-with is "${unit}", but only ${wanted.join(', ')} would be started`, {
    unit,
  });
}

export interface MainUnit {
  readonly unit: string;
  readonly events: EventStream;
  /** Called once, with what is to be said of it. */
  onEnded(code: number, reason: string): void;
}

export function watchMainUnit({ unit, events, onEnded }: MainUnit): Disposable {
  let lastExit: Exit | undefined;
  let isOver = false;
  return events.subscribe({
    onEvent({ event }) {
      if (isOver || !('unit' in event) || event.unit !== unit) return;
      if (event.type === 'process.exited') lastExit = event.exit;
      if (event.type !== 'unit.state' || !isForGood(event.snapshot)) return;
      isOver = true;
      const how = lastExit === undefined ? `is ${event.snapshot.state}` : describeExit(lastExit);
      onEnded(codeOf(event.snapshot, lastExit), `${unit} ${how} and is not started again`);
    },
  });
}

/** It is not tried again by itself. */
function isForGood({ state, nextRetryAt }: UnitSnapshot): boolean {
  return state === 'done' || state === 'stopped' || (state === 'failed' && nextRetryAt === undefined);
}

function codeOf({ state }: UnitSnapshot, exit: Exit | undefined): number {
  if (state === 'done') return exitCode.ok;
  if (exit?.kind === 'signal') return 128 + (constants.signals[exit.signal as NodeJS.Signals] || 0);
  // Never run, not our child, or ended well but before it was ready: none of that is a success, nor a code of its own.
  if (exit?.kind !== 'code' || (state === 'failed' && exit.code === exitCode.ok)) return exitCode.notReady;
  return exit.code;
}
