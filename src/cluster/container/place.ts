/**
 * A container as its preparation sees it, and how it mounts. Every unit of units/container/ is one
 * file beside this one; each says what it found and what it did, and does nothing the second time.
 *
 * Not here: whether this is a container at all (app/container-mode.ts).
 */
import { describeExit } from '../../error/readiness-error.ts';
import type { BuiltinContext } from '../../unit/builtin.ts';

/** Tests point both into the namespaces of another process. */
export interface ContainerPlace {
  /** Before every absolute path that is read or written: "" or "/proc/PID/root". */
  readonly root: string;
  readonly proc: string;
}

export const ownContainer: ContainerPlace = { root: '', proc: '/proc/self' };

/** @throws Error that says what the container lacks when mount(8) refuses */
export async function mount({ run }: BuiltinContext, ...args: readonly string[]): Promise<void> {
  // Without its own table: that lies below /run, which is mounted over.
  const { exit, output } = await run(['mount', '--no-mtab', ...args]);
  if (exit.kind === 'code' && exit.code === 0) return;
  const reason = output.trimEnd().split('\n').at(-1) ?? '';
  const hint = /permission denied|not permitted|must be superuser/i.test(reason)
    ? '; the container has to be privileged (`--privileged`)'
    : '';
  throw new Error(`cannot mount: mount ${args.join(' ')} ${describeExit(exit)}: ${reason}${hint}`);
}

/** Where links lead, inside the container. */
export async function resolveLinks({ run }: BuiltinContext, file: string): Promise<string> {
  const { exit, output } = await run(['realpath', '--canonicalize-existing', file]);
  if (exit.kind !== 'code' || exit.code !== 0) throw new Error(`cannot resolve ${file}: ${output.trim()}`);
  return output.trimEnd();
}
