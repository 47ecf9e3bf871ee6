/**
 * The port to the node's own Lease, wherever it is held: in a thread of its own (lease-thread/), which also
 * feeds the kernel's dead man's switch, or in this one.
 */
import type { LeaseView } from './coordination/lease-holder.ts';
import type { LeaseNotes, LeaseRules } from './coordination/lease-model.ts';
import type { VipEvent } from './vip-event.ts';

export interface OwnLeaseOptions {
  readonly rules: LeaseRules;
  /** The switch is armed to that, or will be at once. */
  readonly onAllow: (allowed: { readonly tenure: number; readonly deadlineMs: number }) => void;
  /** The switch is open. All has to be withdrawn, and then told by `withdrawn`. */
  readonly onWithdraw: (withdraw: { readonly tenure: number; readonly reason: string }) => void;
  readonly onEvent: (event: VipEvent) => void;
}

export interface OwnLease {
  want(): void;
  /** Resolves when it was withdrawn and given back, or could not be. */
  stop(): Promise<void>;
  withdrawn(tenure: number): void;
  publish(notes: LeaseNotes): void;
  readonly view: Pick<LeaseView, 'isOurs' | 'leftMs'>;
}

export type HoldOwnLease = (options: OwnLeaseOptions) => OwnLease;
