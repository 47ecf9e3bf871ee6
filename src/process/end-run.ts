/**
 * How a run ends, launched or adopted: the stop ladder, how its process ended, then its record and its
 * cgroups go. A run that is not verified empty keeps all of these: they are what finds its processes.
 */
import type { Exit } from '../error/readiness-error.ts';
import type { Clock } from '../kernel/clock.ts';
import type { UnitCgroup } from './cgroup.ts';
import { joinStops } from './join-stops.ts';
import type { LimitGroup } from './limit-groups.ts';
import type { RunningProcess } from './process-port.ts';
import type { RecordKeeper } from './record-keeper.ts';
import type { RunParts } from './run-parts.ts';
import { stopProcesses, type StopRequest } from './stop.ts';

/** How long the kernel may take to count the dead of a cgroup, in milliseconds. */
const emptyWithinMs = 2_000;

export interface RunEnd extends Pick<StopRequest, 'target' | 'signal' | 'withinMs'> {
  /** Our own child wakes its stop by its end; of any other the ladder has to look. */
  readonly child?: Required<Pick<StopRequest, 'exited' | 'hasExited'>>;
  readonly exited: Promise<Exit>;
  readonly keeper: RecordKeeper;
  readonly limits: LimitGroup | undefined;
  /** Its process is being moved into its cgroups. */
  readonly entered: Promise<unknown>;
  /** Called first. */
  onStop(): void;
  /** Called when nothing of it is alive, before its exit is waited for. */
  onEmpty?(): void;
  /** Called when it is forgotten. */
  onGone(): void;
}

export function endRun(end: RunEnd, { clock, proc, search, track }: RunParts): RunningProcess['stop'] {
  const { target, signal, withinMs, child, exited, keeper } = end;
  return joinStops(async ({ hurry, onStep }) => {
    end.onStop();
    const remaining = await stopProcesses({
      target,
      ...child,
      signal,
      withinMs,
      hurry,
      onStep,
      clock,
      proc,
      search,
    });
    if (remaining.length > 0) return remaining;
    end.onEmpty?.();
    // The cgroup may be empty before our child is reaped: how it ended is told before that it is gone.
    await exited;
    keeper.remove();
    end.onGone();
    track(removeCgroups(end, clock));
    return remaining;
  });
}

async function removeCgroups({ target, limits, entered }: RunEnd, clock: Clock): Promise<void> {
  const { cgroup, scope } = target;
  await entered;
  // What its main process started may live on in it.
  if (cgroup !== undefined && scope !== 'process') await untilEmpty(cgroup, clock);
  cgroup?.remove();
  limits?.remove();
}

/** Not all that was in it is reaped by us: the kernel may need a moment more than the stop. */
function untilEmpty(cgroup: UnitCgroup, clock: Clock): Promise<void> {
  return new Promise<void>((resolve) => {
    const end = () => {
      timer[Symbol.dispose]();
      watch[Symbol.dispose]();
      resolve();
    };
    const timer = clock.timer(emptyWithinMs, end);
    const watch = cgroup.watch(() => {
      if (!cgroup.isPopulated()) end();
    });
    if (!cgroup.isPopulated()) end();
  });
}
