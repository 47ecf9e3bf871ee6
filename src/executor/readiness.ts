/** Readiness and health of one run: the probe of the unit file, driven by the probe room. */
import type { NotifySocket } from '../probe/notify-port.ts';
import type { RunningProcess } from '../process/process-port.ts';
import type { RunContext } from './run-context.ts';

export async function untilRunReady(
  context: RunContext,
  process: RunningProcess,
  notify: NotifySocket | undefined,
  spawnedMs: number,
): Promise<void> {
  const { unit } = context;
  if (unit.ready === undefined) return;
  throw new Error('todo');
}

export function startHealthWatch(
  context: RunContext,
  process: RunningProcess,
  notify: NotifySocket | undefined,
): Disposable {
  return { [Symbol.dispose]: () => undefined };
}
