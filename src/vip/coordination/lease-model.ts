/** The words of the Lease machine: what a Lease says, its states, what goes in and what comes out. */
import type { Verdict } from './error-class.ts';
import type { Timing } from './timing.ts';

/** What a Lease in the API says, in the words of this room. */
export interface LeaseRecord {
  /** `metadata.resourceVersion`: differs after each write, whoever made it. */
  readonly version: string;
  readonly uid: string;
  /** The instance that holds it; empty: nobody, it was released. */
  readonly holder: string;
  /** What the holder has promised, not what we would. */
  readonly durationMs: number;
  readonly transitions: number;
  /** Of the write that made it so: tells a writer whose answer was lost that it was his. */
  readonly nonce: string;
  readonly notes: LeaseNotes;
}

/** Annotations of ours on a Lease. */
export type LeaseNotes = Readonly<Record<string, string>>;

/** A Lease to be written. Without a version it is made. */
export type LeaseDraft = Omit<LeaseRecord, 'version' | 'uid'> & { readonly version?: string | undefined };

/** A Lease as somebody else sees it: its own times count for nothing, only when it last changed on our clock. */
export interface LeaseSighting {
  readonly record: LeaseRecord | undefined;
  readonly changedAtMs: number;
}

/** A request that is under way. Answers of earlier ones are not believed. */
export interface Call {
  readonly id: number;
  readonly kind: 'read' | 'write';
  readonly sentAtMs: number;
  readonly nonce: string;
}

/** A Lease that is ours: `deadlineMs` comes from before the last confirmed write was sent. */
export interface Holding {
  readonly record: LeaseRecord;
  readonly deadlineMs: number;
  readonly tenure: number;
}

/** One renewal with all of its tries. */
export interface Cycle {
  readonly beganAtMs: number;
  readonly attempts: number;
  /** Writes whose outcome is not known: when each was sent, by its nonce. */
  readonly unclear: ReadonlyMap<string, number>;
}

export const leaseStateIds = ['released', 'held', 'renewing', 'doubtful', 'lost'] as const;

export type LeaseState =
  /** Not ours. `call` is a try to get it. */
  | {
      readonly id: 'released';
      readonly nextAtMs: number;
      readonly failures: number;
      readonly call?: Call | undefined;
      readonly cycle: Cycle;
    }
  /** Ours, and nothing is under way. */
  | { readonly id: 'held'; readonly holding: Holding; readonly renewAtMs: number }
  /** Ours, and a write is under way. */
  | { readonly id: 'renewing'; readonly holding: Holding; readonly cycle: Cycle; readonly call: Call }
  /** Ours as far as we know: a try has failed. It reads (`call`), or waits for the next try. */
  | {
      readonly id: 'doubtful';
      readonly holding: Holding;
      readonly cycle: Cycle;
      readonly call?: Call | undefined;
      readonly nextAtMs: number;
      /** Whether the next try reads first: an earlier write may have happened. */
      readonly readsFirst: boolean;
    }
  /** Not to be acted upon any more. First everything is withdrawn, then it is given back, if it is still ours. */
  | {
      readonly id: 'lost';
      readonly reason: string;
      readonly tenure: number;
      readonly record: LeaseRecord | undefined;
      readonly isWithdrawn: boolean;
      readonly call?: Call | undefined;
      readonly tries: number;
    };

export type LeaseStateId = LeaseState['id'];

export interface LeaseMachine {
  readonly state: LeaseState;
  readonly isWanted: boolean;
  /** Counts calls; also makes nonces differ. */
  readonly calls: number;
  /** Counts how often it became ours: what was allowed under an earlier one is not any more. */
  readonly tenure: number;
  readonly seen: LeaseSighting | undefined;
  readonly notes: LeaseNotes;
  /** Suspended time so far: boottime minus monotonic, from the first look. */
  readonly suspendedMs: number | undefined;
}

export interface LeaseRules {
  /** Name of the Lease, for texts and nonces. */
  readonly lease: string;
  /** Who we are: another instance is another holder. */
  readonly identity: string;
  /** Earlier instances of ours that are known to be dead and cleaned up after. */
  readonly ownEarlier: ReadonlySet<string>;
  readonly timing: Timing;
  /** Whether changes come by a watch: then a free Lease is not polled for. */
  readonly isWatched: boolean;
  /** So long after it is free others go first; asked anew each time. Absent: nobody does. */
  readonly yieldMs?: (() => number) | undefined;
  /** After a loss others go first. */
  readonly coolDownMs: number;
}

export interface LeaseContext {
  readonly nowMs: number;
  /** Time that also runs while the machine is suspended (CLOCK_BOOTTIME). */
  readonly bootMs: number;
  readonly random: () => number;
}

export type LeaseInput =
  | { readonly type: 'want' }
  | { readonly type: 'stop' }
  /** The time that `wakeAtMs` named has come, or any other. */
  | { readonly type: 'wake' }
  /** A read has ended; undefined: there is no such Lease. */
  | { readonly type: 'read'; readonly call: number; readonly record: LeaseRecord | undefined }
  | { readonly type: 'written'; readonly call: number; readonly record: LeaseRecord }
  | { readonly type: 'failed'; readonly call: number; readonly verdict: Verdict }
  /** The watch has shown it. */
  | { readonly type: 'seen'; readonly record: LeaseRecord | undefined }
  /** All that the Lease allowed has ended, and was read back. */
  | { readonly type: 'withdrawn'; readonly tenure: number }
  /** What it is held for cannot be done here. */
  | { readonly type: 'give-up'; readonly reason: string }
  /** Say this on the Lease, at once if it is ours. */
  | { readonly type: 'publish'; readonly notes: LeaseNotes };

export type LeaseEffect =
  | { readonly type: 'read'; readonly call: number; readonly limitMs: number }
  | { readonly type: 'write'; readonly call: number; readonly draft: LeaseDraft; readonly limitMs: number }
  /** From now until `deadlineMs` it may be acted upon; also the dead man's switch is armed to it. */
  | { readonly type: 'allow'; readonly tenure: number; readonly deadlineMs: number; readonly record: LeaseRecord }
  | { readonly type: 'withdraw'; readonly tenure: number; readonly reason: string }
  /** It is not ours, and nothing of it is under way. Not wanted any more: the end. */
  | { readonly type: 'idle' }
  | { readonly type: 'tell'; readonly event: LeaseEvent };

export type LeaseEvent =
  | {
      readonly type: 'vip.lease';
      readonly lease: string;
      readonly from: LeaseStateId;
      readonly to: LeaseStateId;
      readonly reason: string;
    }
  | {
      readonly type: 'vip.retry';
      readonly lease: string;
      readonly class: Verdict['class'];
      readonly attempts: number;
      readonly text: string;
      readonly inMs: number;
      /** Until it is given up. */
      readonly leftMs: number;
    };

export interface LeaseStep {
  readonly machine: LeaseMachine;
  readonly effects: readonly LeaseEffect[];
  /** When it wants to be woken; undefined: by an answer only. */
  readonly wakeAtMs: number | undefined;
}
