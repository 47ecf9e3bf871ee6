/** Runs a unit's `undo`: a program, or a builtin of ours (`builtin:NAME`). */
import { describeExit } from '../error/readiness-error.ts';
import { linkedAbort } from '../kernel/abort.ts';
import { messageOf } from '../kernel/message-of.ts';
import type { Unit } from '../unit/schema.ts';
import type { UnitSnapshot } from '../unit/state.ts';
import type { ExecutorPorts } from './ports.ts';

/** An undo that takes longer is given up, so that `down` ends. Source: Docker stops a container after 10 s, systemd a unit after 90 s; in between. */
const undoWithinMs = 60_000;

export interface UndoOptions {
  readonly unit: Unit;
  readonly generation: number;
  readonly ports: Pick<ExecutorPorts, 'clock' | 'process' | 'builtins'>;
  snapshotOf(unit: string): UnitSnapshot;
}

/** Resolves with one line that says what failed, or undefined. Never rejects. */
export async function runUndo({ unit, generation, ports, snapshotOf }: UndoOptions): Promise<string | undefined> {
  const [program = '', ...args] = unit.undo ?? [];
  using limit = linkedAbort();
  using _timer = ports.clock.timer(undoWithinMs, () => {
    limit.abort(new Error('it took too long'));
  });
  const { signal } = limit;
  const run = (argv: readonly string[]) => ports.process.runToEnd({ unit, argv, signal });
  try {
    if (program.startsWith('builtin:')) {
      const builtin = ports.builtins.get(program.slice('builtin:'.length));
      if (builtin === undefined) return `cannot undo ${unit.name}: there is no ${program}`;
      const log = (line: string) => ports.process.append(unit.name, line);
      await builtin({ unit, generation, args, signal, snapshotOf, log, run });
      return undefined;
    }
    const { exit } = await run([program, ...args]);
    const isDone = exit.kind === 'code' && exit.code === 0;
    return isDone ? undefined : `cannot undo ${unit.name}: ${program} ${describeExit(exit)}`;
  } catch (error) {
    return `cannot undo ${unit.name}: ${messageOf(error)}`;
  }
}
