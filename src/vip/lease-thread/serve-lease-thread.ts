/**
 * The side of the Lease: holds it, and keeps the kernel's gate. Both belong together. Who arms the dead man's
 * switch has to be who knows that the Lease is good; and who opens an address for it must not do so with a
 * deadline that somebody else has heard of earlier. So the main thread only says what the gate is to be, and
 * until when is decided here, in the turn in which it is written.
 *
 * A main thread that is stuck does not lose the Lease by that: nobody is granted what it holds, and the
 * kernel answers on. But it cannot let go of what is revoked either. After some seconds without a sign of it
 * the Lease is given up here: the switch opens, and the others need not wait for ever. So it is when the kernel
 * refuses the gate, and goes on refusing.
 *
 * Not here: where it runs (app/vip-lease-thread), when a Lease is lost (coordination/lease-machine).
 */
import { messageOf } from '../../kernel/message-of.ts';
import { unreachable } from '../../kernel/unreachable.ts';
import { createGate } from '../actuate/gate.ts';
import type { GateNetlink } from '../actuate/gate-netlink.ts';
import type { KernelNetwork } from '../actuate/kernel-network.ts';
import { leaseHolder, type LeaseHolder, type LeaseHolderOptions } from '../coordination/lease-holder.ts';
import type { LeaseRules } from '../coordination/lease-model.ts';
import { toThread, type FromThread, type WishedGate } from './thread-messages.ts';

/** How often the main thread says that it runs, and this one looks. */
export const aliveEveryMs = 1000;
/**
 * So many looks in vain, and the Lease is given up. Not so many that the kernel takes the addresses away
 * first: they are valid for 30 s, and that is said again each 10 s (actuate/create-actuator).
 */
export const looksInVain = 15;

/** One failure may be a moment's. */
const looksAtBrokenGate = 3;

export interface LeaseThreadOptions {
  readonly lease: Omit<LeaseHolderOptions, 'rules' | 'onAllow' | 'onWithdraw' | 'onEvent'>;
  readonly kernel: KernelNetwork;
  /** Undefined where there is no FFI. */
  readonly netlink?: GateNetlink | undefined;
  readonly post: (message: FromThread) => void;
}

export interface LeaseThread extends Disposable {
  /** A message of the main thread. @throws a ZodError when it is none */
  take(message: unknown): void;
}

export function serveLeaseThread({ lease, kernel, netlink, post }: LeaseThreadOptions): LeaseThread {
  const { clock } = lease;
  let deadlineMs = -Infinity;
  let wished: WishedGate = { guarded: [], open: [], interfaces: [] };
  let inVain = 0;
  let isGateBroken = false;
  let looksBroken = 0;
  let holder: LeaseHolder | undefined;

  const gate = createGate({ kernel, netlink, clock, wanted: () => ({ ...wished, deadlineMs }) });
  const gated = async (writing: Promise<void>): Promise<void> => {
    try {
      await writing;
      isGateBroken = false;
    } catch (error) {
      isGateBroken = true;
      throw error;
    }
  };
  const arm = async (): Promise<void> => {
    if (wished.interfaces.length === 0) return;
    await gated(gate.arm()).catch((error: unknown) => {
      post({ type: 'event', event: { type: 'vip.actuator-failed', at: 'arm', reason: messageOf(error) } });
    });
  };
  const hold = (rules: LeaseRules): LeaseHolder =>
    leaseHolder({
      ...lease,
      rules,
      onAllow(allowed) {
        const { tenure } = allowed;
        deadlineMs = allowed.deadlineMs;
        // Told when it is so: what is announced then gets out.
        void arm().then(() => {
          if (deadlineMs === allowed.deadlineMs) post({ type: 'allow', tenure, deadlineMs });
        });
      },
      onWithdraw({ tenure, reason }) {
        deadlineMs = -Infinity;
        void arm();
        post({ type: 'withdraw', tenure, reason });
      },
      onEvent: (event) => post({ type: 'event', event }),
    });

  function writeGate(call: number, what: 'begin' | 'write' | 'mend' | 'end'): void {
    gated(gate[what]()).then(
      () => post({ type: 'gate', call }),
      (error: unknown) => post({ type: 'gate', call, fault: messageOf(error) }),
    );
  }
  /** Looks are counted, and not the time between them: one that was frozen itself has not looked. */
  function look(): void {
    inVain += 1;
    // Again and again: a Lease that it gets later it cannot let go of either.
    if (inVain >= looksInVain) holder?.giveUp('its process is stuck, and could not let go of anything');
    // Nothing can be opened, and the kernel closes what was: others would wait for ever for somebody who is silent.
    looksBroken = isGateBroken ? looksBroken + 1 : 0;
    if (looksBroken >= looksAtBrokenGate) holder?.giveUp('the kernel’s gate cannot be written');
    post({ type: 'alive' });
    timer = clock.timer(aliveEveryMs, look);
  }
  let timer = clock.timer(aliveEveryMs, look);

  return {
    take(given) {
      const message = toThread.parse(given);
      // Whatever it says, it runs.
      inVain = 0;
      switch (message.type) {
        case 'hold':
          holder = hold(message.rules);
          return;
        case 'want':
          holder?.want();
          return;
        case 'stop':
          void holder?.stop().then(() => post({ type: 'stopped' }));
          return;
        case 'withdrawn':
          holder?.withdrawn(message.tenure);
          return;
        case 'publish':
          holder?.publish(message.notes);
          return;
        case 'alive':
          return;
        case 'gate':
          ({ wished } = message);
          writeGate(message.call, message.what);
          return;
        default:
          unreachable(message);
      }
    },
    [Symbol.dispose]: () => timer[Symbol.dispose](),
  };
}
