/** The words of the coordinator: who decides which node holds what, and on which evidence. */
import type { Balance, Election, MoveReason, NodeName, VipAddress } from '../model.ts';
import type { Plan, PlanAddress, PlanInput, PlanNode, PlanPolicy } from '../plan/plan-model.ts';
import type { FlapsOf } from './flaps.ts';
import type { LeaseRecord, LeaseSighting } from './lease-model.ts';
import type { StoredAssignment } from './stored-assignment.ts';

/** What there is to be planned, as the Services and the nodes say. */
export interface Wanted {
  readonly addresses: readonly PlanAddress[];
  /** Of addresses that are not among these, too. */
  readonly pins?: Readonly<Record<VipAddress, NodeName>> | undefined;
  /** Of nodes that are not in it, the Lease alone counts. */
  readonly nodes: ReadonlyMap<
    NodeName,
    Pick<PlanNode, 'state'> & {
      /** Asked for, also of a node that is `unready`. */
      readonly isDraining?: boolean;
    }
  >;
  readonly policy: PlanPolicy;
  /** What servers were given as `--vip-apiserver`; undefined: nobody has written it down. */
  readonly apiServerVips?: ReadonlySet<VipAddress> | undefined;
}

/**
 * Whoever may write Leases may name any address on one. - `unknown`: no server of this cluster was given it.
 * - `in use`: it is a Service's, and what servers were given is not known.
 */
export interface RefusedName {
  readonly node: NodeName;
  readonly address: VipAddress;
  readonly why: 'in use' | 'unknown';
}

/** A node tries for the Lease of an address, so long after that is free: those who are before it go first. */
export interface Candidacy {
  readonly address: VipAddress;
  readonly afterMs: number;
}

export interface Stored {
  /** `resourceVersion`; undefined: there is no such object yet. */
  readonly version: string | undefined;
  readonly assignment: StoredAssignment;
}

/** A read of a node's Lease that was asked for after the present assignment had been written. */
export interface Confirmation {
  readonly version: string | undefined;
}

/** A planned move whose heir is asked to be ready, since then on the own clock. */
export interface Preparation {
  readonly to: NodeName;
  readonly sinceMs: number;
}

export interface CoordinatorState {
  /** The epoch in which we are the coordinator; undefined: we are not, and only look. */
  readonly epoch: number | undefined;
  /** Since when, or since when we were it last. */
  readonly electedAtMs: number;
  /** The first renewal, or election of ours, after nobody's Lease was good: the API was away, owners may come back. */
  readonly heardAgainAtMs: number | undefined;
  readonly leases: ReadonlyMap<NodeName, LeaseSighting>;
  /** Whether a list of the Leases was seen as a whole: before that, nodes only seem to be missing. */
  readonly isSynced: boolean;
  readonly wanted: Wanted | undefined;
  readonly stored: Stored | undefined;
  readonly confirmed: ReadonlyMap<NodeName, Confirmation>;
  readonly call:
    | {
        readonly id: number;
        readonly kind: 'read' | 'write' | 'confirm';
        readonly node?: NodeName;
        readonly draft?: StoredAssignment;
      }
    | undefined;
  readonly calls: number;
  readonly pausedUntilMs: number;
  readonly failures: number;
  /** What was last asked to be woken for. */
  readonly wakeAtMs: number | undefined;
  /** When voluntary moves were begun, for the planner's pace. */
  readonly movesAtMs: readonly number[];
  readonly movedAtMs: ReadonlyMap<VipAddress, number>;
  /** Why addresses are on their way, for those who ask. */
  readonly reasons: ReadonlyMap<VipAddress, MoveReason>;
  readonly plan: Plan | undefined;
  /** Planned moves that wait for their heirs. */
  readonly preparing: ReadonlyMap<VipAddress, Preparation>;
  /**
   * Of traffic, by address, as its owner has told last: whoever gets one has not measured it yet. Kept only where
   * traffic is evened out.
   */
  readonly levels: ReadonlyMap<VipAddress, number>;
  /** When traffic that has changed is planned for; undefined: it has not. */
  readonly weighAtMs: number | undefined;
  /** Nodes whose Leases were over. */
  readonly flaps: FlapsOf;
  /** Those whose Lease has changed since we were elected: they were there, and can have gone. */
  readonly heardOf: ReadonlySet<NodeName>;
  /** Names of the API servers' address that are refused, as they were last told. */
  readonly refusedNames: readonly RefusedName[];
  /** Owners that should have renewed their Lease by now: when they have, their heirs are not needed any more. */
  readonly late: ReadonlySet<NodeName>;
  /** The newest that a watch has shown, or a read since: a write that was given up may still have happened. */
  readonly view: StoredAssignment | undefined;
  /** Of addresses that are elected by themselves: which instance holds their Leases, as a watch shows it. */
  readonly holders: ReadonlyMap<VipAddress, string>;
  /** Those whose Lease is ours. */
  readonly elected: ReadonlySet<VipAddress>;
  /** Those whose Lease we are to have, or to try for, as it was last told. */
  readonly competing: readonly Candidacy[];
}

export interface CoordinatorRules {
  readonly node: NodeName;
  readonly plan: (input: PlanInput) => Plan;
  /** Beyond the end of a Lease, for the drift of clocks. */
  readonly graceMs: number;
  /** For nodes whose Lease was never seen. */
  readonly leaseDurationMs: number;
  readonly standbys: number;
  /** How owners are to be found; absent: by the coordinator. See `address-election.ts`. */
  readonly election?: Election | undefined;
  /** What is evened out; absent: the count. */
  readonly balance?: Balance | undefined;
  /** Half of what a node is trusted less for its flaps is forgotten in this time. */
  readonly flapHalfLifeMs: number;
}

export type CoordinatorInput =
  | { readonly type: 'wake' }
  | { readonly type: 'elected'; readonly epoch: number }
  | { readonly type: 'deposed' }
  | { readonly type: 'lease'; readonly node: NodeName; readonly record: LeaseRecord | undefined }
  | { readonly type: 'synced' }
  /** They are not followed any more. */
  | { readonly type: 'unsynced' }
  /** A watch shows the assignment. */
  | { readonly type: 'seen'; readonly assignment: StoredAssignment }
  /** The Lease of an address, by a watch; undefined, or empty: nobody holds it. */
  | { readonly type: 'address lease'; readonly address: VipAddress; readonly holder: string | undefined }
  /** The Lease of an address is ours, or is not any more. */
  | { readonly type: 'address'; readonly address: VipAddress; readonly isElected: boolean }
  | { readonly type: 'wanted'; readonly wanted: Wanted }
  | { readonly type: 'read'; readonly call: number; readonly stored: Stored }
  | { readonly type: 'written'; readonly call: number; readonly version: string }
  | { readonly type: 'confirmed'; readonly call: number; readonly record: LeaseRecord | undefined }
  /** A conflict: another one has written, so that something has got on. */
  | { readonly type: 'failed'; readonly call: number; readonly text: string; readonly isConflict?: boolean };

export type CoordinatorEffect =
  | { readonly type: 'read'; readonly call: number }
  | {
      readonly type: 'write';
      readonly call: number;
      readonly version: string | undefined;
      readonly assignment: StoredAssignment;
    }
  /** A read of a node's Lease that is served by a majority of etcd. */
  | { readonly type: 'confirm'; readonly call: number; readonly node: NodeName }
  /** Of these addresses and of no other the Leases are to be held here, or tried for. */
  | { readonly type: 'compete'; readonly candidacies: readonly Candidacy[] }
  | { readonly type: 'tell'; readonly event: CoordinatorEvent };

export type CoordinatorEvent =
  | { readonly type: 'vip.coordinator'; readonly epoch: number; readonly is: 'elected' | 'deposed' }
  | { readonly type: 'vip.node'; readonly node: NodeName; readonly is: 'alive' | 'released' | 'expired' }
  | {
      readonly type: 'vip.move';
      readonly address: VipAddress;
      readonly is: 'revoking' | 'granted' | 'removed';
      readonly from?: NodeName;
      readonly to?: NodeName;
      readonly generation: number;
      readonly reason: MoveReason | 'unwanted';
      /** What allowed it: without an acknowledgement the Lease of `from` had to run out. */
      readonly because?: 'acknowledged' | 'released' | 'expired' | 'free';
    }
  | { readonly type: 'vip.unassigned'; readonly addresses: readonly VipAddress[] }
  /** A node's Lease names an address as the API servers' that it must not; it is as if it named none. */
  | ({ readonly type: 'vip.name-refused' } & RefusedName)
  | { readonly type: 'vip.coordinator-failed'; readonly text: string };

export interface CoordinatorStep {
  readonly state: CoordinatorState;
  readonly effects: readonly CoordinatorEffect[];
  readonly wakeAtMs: number | undefined;
}
