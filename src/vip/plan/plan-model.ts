/** What the planner is given and what it answers. All of it is plain data; the planner is one pure function. */
import type { MoveReason, NodeName, NodeState, VipAddress } from '../model.ts';

export interface PlanAddress {
  readonly address: VipAddress;
  /** Share of a node's capacity that it takes, > 0; 1 unless its load is measured or it was given one. */
  readonly weight: number;
  /** The nodes that may hold it; undefined: all. */
  readonly eligible?: ReadonlySet<NodeName> | undefined;
  /** Nodes that should rather hold it, by added weight 1–100 as in Kubernetes' PreferredSchedulingTerm. */
  readonly preferred?: ReadonlyMap<NodeName, number> | undefined;
  /** At most ⌈group size / nodes⌉ of a group belong on one node. */
  readonly group?: string | undefined;
  /** Addresses that should rather be on the same node (both families of one Service). */
  readonly together?: string | undefined;
  readonly pinnedTo?: NodeName | undefined;
  /** The API servers' own: a node that is not ready for pods may be pinned to all the same. Absent: of Services. */
  readonly use?: 'apiserver' | undefined;
  /** When it last changed its owner; voluntary moves wait for a while after that. */
  readonly movedAtMs?: number | undefined;
}

export interface PlanNode {
  readonly name: NodeName;
  readonly state: NodeState;
  /** Relative, > 0; 1 unless it was given one. */
  readonly capacity: number;
  /** 0: none. Each flap adds 1, and it decays: capacity counts as capacity / 2^penalty for what comes new. */
  readonly penalty: number;
  /** It has come (back) and not had its share yet: moves to it are a failback. Absent: that is so while it holds nothing. */
  readonly isFresh?: boolean | undefined;
}

export interface PlanPolicy {
  /** Whether voluntary moves may be made now (a maintenance window, or none configured). */
  readonly mayRebalance: boolean;
  /**
   * Rebalancing begins when a node is further from its fair share than this, as a ratio to the mean load (1.2: a
   * fifth of it too much or too little), and ends when none is further than `stopBelow`. The fair share is what the
   * node would have in the best assignment that there is. 1 for both: always as even as can be.
   */
  readonly startAbove: number;
  readonly stopBelow: number;
  /** An address rests this long between two voluntary moves. */
  readonly restMs: number;
  /** Voluntary moves under way at the same time, at most. */
  readonly movesAtOnce: number;
  /** Voluntary moves in an hour, at most. */
  readonly movesPerHour: number;
}

export interface PlanInput {
  readonly addresses: readonly PlanAddress[];
  readonly nodes: readonly PlanNode[];
  /** Present owners; of an address in `moving` the one that it goes to (`Grant.next`). */
  readonly owners: ReadonlyMap<VipAddress, NodeName>;
  /**
   * Addresses whose move is under way: they stay as they are and count against `movesAtOnce`. Only when the one
   * that they go to dies or may not have them any more they get another: that move is `from` it.
   */
  readonly moving: ReadonlySet<VipAddress>;
  readonly policy: PlanPolicy;
  /** Voluntary moves within the last hour, of the clock of `nowMs`. */
  readonly recentMovesAtMs: readonly number[];
  /** Of the plan before: a rebalancing that has begun goes on down to `stopBelow`. */
  readonly rebalancing?: boolean | undefined;
  /** Monotonic. */
  readonly nowMs: number;
}

export interface PlannedMove {
  readonly address: VipAddress;
  readonly from?: NodeName | undefined;
  readonly to: NodeName;
  readonly reason: MoveReason;
}

export interface Plan {
  /** To be made now, in this order. */
  readonly moves: readonly PlannedMove[];
  /** Voluntary ones that wait, and what for; those of a drain, which are paced too. */
  readonly waiting: readonly (PlannedMove & { readonly until: 'window' | 'pace' | 'rest' })[];
  /** Nobody may hold these: no eligible node is there. They have no owner in `owners`; who has one now has to let go. */
  readonly unassigned: readonly VipAddress[];
  /** Owners when all of `moves` are made. */
  readonly owners: ReadonlyMap<VipAddress, NodeName>;
  /** Of `owners`: highest load / mean load by capacity, over nodes that may hold anything; 1 is even. */
  readonly imbalance: number;
  /** Soft rules that could not be kept. */
  readonly violations: readonly { readonly kind: 'group' | 'together' | 'preferred'; readonly address: VipAddress }[];
  /** Whether a rebalancing is under way: hand it back with the next input. */
  readonly rebalancing: boolean;
  /** When to plan again at the latest, if time alone can change the answer. */
  readonly againAtMs?: number | undefined;
}
