/**
 * The words of this room: what is assigned, to whom, and how far that has come.
 *
 * The unit of assignment is an address, not a Service: all Services of one address share its holder.
 * Nobody but the holder of the cluster's coordinator Lease (of an address's own, where each is elected by
 * itself) writes the assignment; nobody but the
 * node named in it, with a Lease of its own that is still good, answers for an address.
 */

/** An IPv4 or IPv6 address in its canonical text, without a prefix length. */
export type VipAddress = string;

/** `metadata.name` of a Node. */
export type NodeName = string;

export type AddressFamily = 4 | 6;

/**
 * - `granted`: the owner may answer for it, as long as its own Lease is good.
 * - `revoking`: the owner has to fall silent, withdraw and acknowledge; nobody may take it before that,
 *   or before the owner's Lease is known to have run out.
 */
export const grantStates = ['granted', 'revoking'] as const;
export type GrantState = (typeof grantStates)[number];

/** One address in the assignment. An address that nobody can hold has no grant. */
export interface Grant {
  readonly address: VipAddress;
  readonly owner: NodeName;
  readonly state: GrantState;
  /** Who gets it when `owner` has let go; of a granted one nobody. */
  readonly next?: NodeName | undefined;
  /**
   * Who is to be ready for a granted one: it has the address on an interface, with the gate closed. A hint and no
   * right: the owner goes on as before. (Of a revoked one that is `next`.)
   */
  readonly heir?: NodeName | undefined;
  /** The owner before has let go by himself, having held it until then: nobody else has it, so nobody has to be asked. */
  readonly isHandedOver?: boolean | undefined;
  /** Grows with each change of the owner, never falls: the fencing token in logs, metrics and events. */
  readonly generation: number;
}

/** The one object that says who holds what. */
export interface Assignment {
  /** `leaseTransitions` of the coordinator Lease under which it was written: an older one is never believed. */
  readonly epoch: number;
  readonly grants: ReadonlyMap<VipAddress, Grant>;
}

/**
 * Who decides which node gets an address.
 * - `coordinator`: one node decides for all, and shares them evenly.
 * - `per-service`: whoever gets the address's own Lease, which nodes that may have it race for.
 */
export const elections = ['coordinator', 'per-service'] as const;
export type Election = (typeof elections)[number];

/** What is evened out: how many addresses a node has, by their weights, or how much traffic these have too. */
export const balances = ['count', 'load'] as const;
export type Balance = (typeof balances)[number];

/**
 * Why an address moves. Only `rebalance` and `failback` are voluntary: they wait for windows, pace and hysteresis.
 * `elected`: its own Lease says so, and nothing else.
 */
export const moveReasons = [
  'new',
  'dead',
  'unready',
  'drain',
  'ineligible',
  'pin',
  'elected',
  'rebalance',
  'failback',
] as const;
export type MoveReason = (typeof moveReasons)[number];

/**
 * - `ready`: keeps and takes. - `cordoned`: keeps, takes none. - `draining`: gives away, paced.
 * - `unready`: as draining, at once. - `dead`: its Lease has run out; what it had is given away.
 */
export const nodeStates = ['ready', 'cordoned', 'draining', 'unready', 'dead'] as const;
export type NodeState = (typeof nodeStates)[number];
