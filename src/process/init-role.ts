/**
 * Is this process an init, and for whom? As PID 1 the kernel makes us one; asked for it (`--init`), we
 * become the init of our descendants alone. Below `k3s-lite-init` we are none: it reaps, and it starts
 * us again when a signal ends us, so a bug has to end us by one.
 */
import type { Clock } from '../kernel/clock.ts';
import { childWaits, type ChildWaits } from './child-waits.ts';
import { isOwnChild } from './own-children.ts';
import { reapOrphans } from './reap-orphans.ts';

export type InitRole = 'pid-1' | 'subreaper' | 'below-init' | 'none';

/** Set by k3s-lite-init for its program: its own pid, so that what is started further down is not meant. */
export const underInitVariable = 'K3S_LITE_UNDER_INIT';

export interface RoleQuestion {
  readonly pid: number;
  readonly ppid: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `--init` */
  readonly isWanted: boolean;
}

export function initRole({ pid, ppid, env, isWanted }: RoleQuestion): InitRole {
  if (pid === 1) return 'pid-1';
  if (env[underInitVariable] === String(ppid)) return 'below-init';
  return isWanted ? 'subreaper' : 'none';
}

export interface InitOptions {
  readonly role: InitRole;
  readonly clock: Clock;
  readonly notice: (text: string) => void;
  /** Undefined where there is no FFI. */
  readonly waits?: () => ChildWaits | undefined;
}

/** Reaps orphans from now on if that is our part; says what is missing if it cannot. Disposing ends it. */
export function actAsInit({ role, clock, notice, waits = childWaits }: InitOptions): Disposable {
  return beginToReap() ?? { [Symbol.dispose]: () => undefined };

  function beginToReap(): Disposable | undefined {
    if (role !== 'pid-1' && role !== 'subreaper') return undefined;
    const calls = waits();
    if (calls === undefined) {
      notice(withoutFfi(role));
      return undefined;
    }
    if (role === 'subreaper' && !calls.becomeSubreaper()) {
      notice('the kernel refuses to make this process a subreaper: orphans go to PID 1');
      return undefined;
    }
    return reapOrphans({ waits: calls, isOwn: isOwnChild, clock });
  }
}

function withoutFfi(role: InitRole): string {
  const loss =
    role === 'pid-1'
      ? 'this is PID 1, and orphans that end stay zombies until it ends'
      : '--init has no effect: orphans go to PID 1';
  return `${loss}: the optional package koffi is missing or has no binary for this platform; k3s-lite-init as PID 1 does without it`;
}

/** Below k3s-lite-init: ends this process so that it is started again. What runs goes on running. */
export function endByCrash(): void {
  process.kill(process.pid, 'SIGABRT');
}
