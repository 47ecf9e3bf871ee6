/** The words of the agent: what one node does about what it was granted. */
import type { TakeOutcome, TakeRefusal } from '../actuator.ts';
import type { NodeName, VipAddress } from '../model.ts';
import type { LeaseNotes } from './lease-model.ts';
import type { StoredAssignment } from './stored-assignment.ts';

/**
 * - `preparing`, `taking`, `silencing`, `dropping`: the actuator is at it.
 * - `ready`: it is there with the gate closed, for when its owner lets go.
 * - `open`: we answer for it. - `silent`: nobody gets an answer from us, what arrives is still taken.
 * - `unsure`: the actuator has failed, and nobody knows what the kernel has of it. It is silenced whatever was granted.
 */
export type HoldingPhase = 'preparing' | 'ready' | 'taking' | 'open' | 'unsure' | 'silencing' | 'silent' | 'dropping';

export interface Holding {
  readonly generation: number;
  readonly phase: HoldingPhase;
  readonly sinceMs: number;
}

export interface Refusal {
  readonly generation: number;
  readonly refusal: TakeRefusal;
  readonly againAtMs: number;
}

/** The Lease allows us to act: until when, and since which tenure. */
export interface Allowance {
  readonly tenure: number;
  readonly deadlineMs: number;
}

export interface AgentState {
  readonly allowed: Allowance | undefined;
  /** The newest that was ever read. */
  readonly view: StoredAssignment | undefined;
  /** Whether it was asked for after this tenure had begun: what was read before may have been revoked meanwhile. */
  readonly isFresh: boolean;
  readonly holdings: ReadonlyMap<VipAddress, Holding>;
  readonly refusals: ReadonlyMap<VipAddress, Refusal>;
  /** How often in a row the actuator has failed to take or to prepare these; the kernel may only have been busy. */
  readonly failures: ReadonlyMap<VipAddress, number>;
  /** A read of the assignment that is under way, or when to try again. */
  readonly reading: { readonly call: number } | undefined;
  readonly readAtMs: number;
  readonly calls: number;
  /** A tenure that has ended, until it is verified that nothing of it is left. */
  readonly ending: { readonly tenure: number; readonly isVerifying: boolean } | undefined;
  /** After a failure of the actuator nothing is begun before this. */
  readonly pausedUntilMs: number;
  /** We are about to end: others are asked to take over. */
  readonly isLeaving: boolean;
  /** This machine's API server is ready; false also where there is none, or nobody asks it. */
  readonly isApiServerReady: boolean;
  /** Of traffic: see plan/traffic-weight. */
  readonly levels: ReadonlyMap<VipAddress, number>;
  readonly published: string;
}

export interface AgentRules {
  readonly node: NodeName;
  /** How long an address is still accepted after it fell silent, for those who have not heard. */
  readonly lingerMs: number;
  /** What the node says of itself, whatever it holds. */
  readonly notes: LeaseNotes;
  /** From the decision to silence: a take that would end later is not begun. */
  readonly withdrawMs: number;
}

/** What the actuator is asked for. */
export type AgentWork = 'prepare' | 'take' | 'silence' | 'drop' | 'verify';

export type AgentInput =
  | { readonly type: 'wake' }
  | { readonly type: 'allowed'; readonly tenure: number; readonly deadlineMs: number }
  | { readonly type: 'withdraw'; readonly tenure: number }
  /** A watch shows it. */
  | { readonly type: 'seen'; readonly assignment: StoredAssignment }
  /** A read that was asked for shows it. */
  | { readonly type: 'read'; readonly call: number; readonly assignment: StoredAssignment }
  | { readonly type: 'read failed'; readonly call: number }
  /** Others are to take over what we have. */
  | { readonly type: 'leaving' }
  | { readonly type: 'api server'; readonly isReady: boolean }
  /** How much traffic addresses have, as far as it is known. */
  | { readonly type: 'load'; readonly levels: ReadonlyMap<VipAddress, number> }
  | { readonly type: 'prepared'; readonly outcomes: readonly TakeOutcome[] }
  | { readonly type: 'taken'; readonly outcomes: readonly TakeOutcome[] }
  | { readonly type: 'silenced'; readonly addresses: readonly VipAddress[] }
  | { readonly type: 'dropped'; readonly addresses: readonly VipAddress[] }
  /** The actuator has failed at this; what the kernel has of it is not known. */
  | {
      readonly type: 'failed';
      readonly at: AgentWork;
      readonly addresses: readonly VipAddress[];
      readonly reason: string;
    }
  /** What was read back after everything had been dropped. */
  | { readonly type: 'verified'; readonly left: readonly VipAddress[] };

export type AgentEffect =
  /** A read that is served by a majority of etcd, not by a cache. */
  | { readonly type: 'read'; readonly call: number }
  | { readonly type: 'prepare'; readonly addresses: readonly VipAddress[] }
  | {
      readonly type: 'take';
      readonly addresses: readonly VipAddress[];
      readonly deadlineMs: number;
      /** See `HowToTake`. */
      readonly isFree: boolean;
    }
  | { readonly type: 'silence'; readonly addresses: readonly VipAddress[] }
  | { readonly type: 'drop'; readonly addresses: readonly VipAddress[] }
  | { readonly type: 'verify' }
  | { readonly type: 'publish'; readonly notes: LeaseNotes }
  | { readonly type: 'withdrawn'; readonly tenure: number }
  | { readonly type: 'tell'; readonly event: AgentEvent };

export type AgentEvent =
  | {
      readonly type: 'vip.prepared';
      readonly address: VipAddress;
      readonly generation: number;
      readonly tookMs: number;
    }
  | { readonly type: 'vip.taken'; readonly address: VipAddress; readonly generation: number; readonly tookMs: number }
  | {
      readonly type: 'vip.refused';
      readonly address: VipAddress;
      readonly generation: number;
      readonly refusal: TakeRefusal;
    }
  | {
      readonly type: 'vip.silent';
      readonly address: VipAddress;
      readonly generation: number;
      readonly reason: 'revoked' | 'lease';
    }
  | { readonly type: 'vip.dropped'; readonly address: VipAddress; readonly generation: number }
  | { readonly type: 'vip.withdrawn'; readonly tenure: number }
  | { readonly type: 'vip.actuator-failed'; readonly at: string; readonly reason: string };

export interface AgentStep {
  readonly state: AgentState;
  readonly effects: readonly AgentEffect[];
  readonly wakeAtMs: number | undefined;
}
