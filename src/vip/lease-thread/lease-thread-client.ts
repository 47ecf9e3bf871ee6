/**
 * The main thread's side of the Lease's thread: the Lease and the gate as if they were here. What was told last
 * is known here, never more: the thread alone decides until when an address may be answered for.
 *
 * A thread that hangs arms nothing any more, and the kernel closes the gate. But it would neither get the Lease
 * again nor say why: so it is missed here, by whoever can end the process.
 */
import type { Clock } from '../../kernel/clock.ts';
import { deferred, type Deferred } from '../../kernel/deferred.ts';
import { unreachable } from '../../kernel/unreachable.ts';
import { StartupError } from '../../error/startup-error.ts';
import type { Gate, WantedGate } from '../actuate/gate.ts';
import type { HoldOwnLease, OwnLeaseOptions } from '../own-lease.ts';
import { aliveEveryMs } from './serve-lease-thread.ts';
import { fromThread, type ToThread } from './thread-messages.ts';

/** So many looks without a word of the thread, and it is missed; it says each second that it runs. */
export const looksUntilMissed = 5;
/** More until its first word: it is loaded first, on a machine that may be busy. */
const looksToBegin = 30;

export interface LeaseThreadClientOptions {
  readonly post: (message: ToThread) => void;
  readonly clock: Clock;
  /** The thread hangs: said once. */
  readonly onMissed: (reason: Error) => void;
}

export interface LeaseThreadClient extends Disposable {
  readonly holdOwn: HoldOwnLease;
  /** The gate with what `wanted` says; when it may be open is the thread's matter. */
  gate(wanted: () => Omit<WantedGate, 'deadlineMs'>): Gate;
  /** A message of the thread. @throws a ZodError when it is none */
  take(message: unknown): void;
  /** The thread is gone: nobody answers any more. */
  gone(reason: Error): void;
}

export function leaseThreadClient({ post, clock, onMissed }: LeaseThreadClientOptions): LeaseThreadClient {
  const calls = new Map<number, Deferred<void>>();
  const stopped = deferred();
  let lastCall = 0;
  let lease: OwnLeaseOptions | undefined;
  let allowedUntilMs: number | undefined;
  let isGone: Error | undefined;

  let unheardLooks = looksUntilMissed - looksToBegin;

  /** Looks are counted, and not the time between them: a process that was frozen has not looked. */
  const look = () => {
    post({ type: 'alive' });
    unheardLooks += 1;
    if (unheardLooks === looksUntilMissed) {
      onMissed(new Error(`the thread of the node’s Lease hangs: ${String(looksUntilMissed)} s without a word of it`));
    }
    timer = clock.timer(aliveEveryMs, look);
  };
  let timer = clock.timer(aliveEveryMs, look);

  function ask(what: 'begin' | 'write' | 'mend' | 'end', wished: Omit<WantedGate, 'deadlineMs'>): Promise<void> {
    if (isGone !== undefined) return Promise.reject(isGone);
    lastCall += 1;
    const done = deferred();
    calls.set(lastCall, done);
    const { guarded, open, interfaces } = wished;
    post({
      type: 'gate',
      call: lastCall,
      what,
      wished: {
        guarded,
        open: open.map((each) => ({ address: each.address, interface: each.interface })),
        interfaces: interfaces.map(({ name, index }) => ({ name, index })),
      },
    });
    return done.promise;
  }

  return {
    holdOwn(options) {
      lease = options;
      post({ type: 'hold', rules: { ...options.rules, ownEarlier: new Set(options.rules.ownEarlier) } });
      return {
        want: () => post({ type: 'want' }),
        stop() {
          post({ type: 'stop' });
          return stopped.promise;
        },
        withdrawn: (tenure) => post({ type: 'withdrawn', tenure }),
        publish: (notes) => post({ type: 'publish', notes }),
        get view() {
          if (allowedUntilMs === undefined) return { isOurs: false, leftMs: undefined };
          const leftMs = allowedUntilMs - clock.monotonicMs();
          return { isOurs: leftMs > 0, leftMs };
        },
      };
    },
    gate: (wanted) => ({
      begin: () => ask('begin', wanted()),
      write: () => ask('write', wanted()),
      mend: () => ask('mend', wanted()),
      // The thread has done it before it told of a deadline.
      arm: () => Promise.resolve(),
      end: () => ask('end', wanted()),
    }),
    take(given) {
      const message = fromThread.parse(given);
      unheardLooks = 0;
      switch (message.type) {
        case 'allow':
          allowedUntilMs = message.deadlineMs;
          lease?.onAllow(message);
          return;
        case 'withdraw':
          allowedUntilMs = undefined;
          lease?.onWithdraw(message);
          return;
        case 'stopped':
          stopped.resolve();
          return;
        case 'gate': {
          const { call, fault } = message;
          if (fault === undefined) calls.get(call)?.resolve();
          else calls.get(call)?.reject(new StartupError('ERR_VIP_KERNEL', fault, {}));
          calls.delete(call);
          return;
        }
        case 'alive':
          return;
        case 'event':
          lease?.onEvent(message.event);
          return;
        default:
          unreachable(message);
      }
    },
    gone(reason) {
      isGone = reason;
      allowedUntilMs = undefined;
      for (const call of calls.values()) call.reject(reason);
      calls.clear();
      stopped.resolve();
    },
    [Symbol.dispose]: () => timer[Symbol.dispose](),
  };
}
