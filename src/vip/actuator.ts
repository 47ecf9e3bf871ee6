/**
 * The port between what a node may hold and what its kernel does. Behind it are addresses on an
 * interface, a gate in front of their answers to ARP and neighbour solicitations, and a dead man's
 * switch in the kernel. It decides nothing, and knows neither Leases nor Services.
 *
 * All times are of the monotonic clock (`Clock.monotonicMs`).
 */
import type { VipAddress } from './model.ts';

export interface VipActuator extends AsyncDisposable {
  /**
   * Before anything else: closes the gate and takes away what an earlier process has left behind.
   *
   * @returns the addresses that were found and removed
   */
  cleanUp(signal: AbortSignal): Promise<readonly VipAddress[]>;
  /**
   * Makes ready for addresses that somebody else still holds: adds them with the gate closed and reads them back.
   * Whether somebody answers for them is asked meanwhile, and goes on when this has resolved.
   */
  prepare(addresses: readonly VipAddress[], signal: AbortSignal): Promise<readonly TakeOutcome[]>;
  /**
   * Probes for somebody else who answers, adds what is free with the gate closed, reads it back, opens the
   * gate and announces. All or nothing for each address. One that is held already is announced again; of one that
   * is prepared, or silent and still there, nothing but the last two is left to do.
   */
  take(addresses: readonly VipAddress[], how: HowToTake, signal: AbortSignal): Promise<readonly TakeOutcome[]>;
  /** Closes the gate: from now on nobody gets an answer; packets to it are still accepted (linger). Never waits for anybody but the kernel. */
  silence(addresses: readonly VipAddress[]): Promise<void>;
  /** Silences, removes and reads back. What is not there is fine. */
  drop(addresses: readonly VipAddress[]): Promise<void>;
  /** Arms the dead man's switch anew: the kernel closes the gate by itself at that time. In the past: closes it at once. */
  arm(deadlineMs: number): Promise<void>;
  /** What the kernel has of ours, read back now. */
  held(signal: AbortSignal): Promise<readonly HeldAddress[]>;
}

export interface HowToTake {
  readonly deadlineMs: number;
  /** Nobody else can have them: the link is not asked. */
  readonly isFree: boolean;
}

export interface TakeOutcome {
  readonly address: VipAddress;
  /** Why it was not taken; undefined when it is held and announced. */
  readonly refused?: TakeRefusal | undefined;
}

export type TakeRefusal =
  /** Somebody else answers for it. */
  | { readonly kind: 'conflict'; readonly mac: string }
  /** No interface of this node has its subnet. */
  | { readonly kind: 'no-interface' }
  /** The deadline passed meanwhile, or the kernel said no; what was begun is undone. */
  | { readonly kind: 'failed'; readonly reason: string };

export interface HeldAddress {
  readonly address: VipAddress;
  readonly interface: string;
  /** Whether it would be answered for now. */
  readonly open: boolean;
}

/** What an actuator sees without being asked. */
export type ActuatorSighting =
  /** Another machine speaks for an address that we hold. */
  | { readonly kind: 'conflict'; readonly address: VipAddress; readonly mac: string }
  /** Somebody has taken an address of ours from its interface. */
  | { readonly kind: 'missing'; readonly address: VipAddress };
