/**
 * Who this process is among those that ever held the node's Lease, and that it is the only one: a second
 * one of the same folder is refused, so the one before it is dead, and its Lease may be taken at once.
 */
import { randomUUID } from 'node:crypto';
import { writeFileSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { StartupError } from '../error/startup-error.ts';
import { takeFlock } from '../process/flock.ts';
import { makeFolderWithParents } from '../kernel/make-folders.ts';

export interface VipInstance extends Disposable {
  readonly identity: string;
  /** Undefined: there was none, or nobody can say that it is dead. */
  readonly earlier: string | undefined;
}

/** @throws StartupError ERR_LOCKED when another process of this folder lives */
export function vipInstance(stateDir: string, node: string): VipInstance {
  makeFolderWithParents(stateDir);
  const lock = takeFlock(stateDir);
  if (lock.state === 'taken') {
    throw new StartupError('ERR_LOCKED', `another process looks after the virtual addresses of ${node}: ${stateDir}`, {
      stateDir,
    });
  }
  const file = path.join(stateDir, 'instance');
  const earlier = lock.state === 'held' ? written(file) : undefined;
  const identity = `${node}/${randomUUID()}`;
  writeFileSync(file, `${identity}\n`, { mode: 0o600 });
  return {
    identity,
    earlier,
    [Symbol.dispose]: () => {
      if (lock.state === 'held') lock.release();
    },
  };
}

function written(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim() || undefined;
  } catch {
    return undefined; // the first one
  }
}
