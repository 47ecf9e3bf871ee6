/** The patience with a task or builtin. */
import { formatDurationMs } from '../kernel/duration.ts';
import { startError } from './failure.ts';
import type { RunContext } from './run-context.ts';

/** Fails a task or builtin that takes longer than `startWithin`. */
export function timeLimit(context: RunContext): Disposable {
  const { unit, ports, report } = context;
  return ports.clock.timer(unit.startWithin, () => {
    const check = unit.kind === 'builtin' ? 'builtin' : 'exit';
    const reason = `not finished within ${formatDurationMs(unit.startWithin)}`;
    report.failed(startError(context.facts('startup'), check, reason));
  });
}
