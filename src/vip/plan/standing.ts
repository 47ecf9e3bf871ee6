/**
 * How each address stands before anything is planned: it stays whatever happens, it may be moved if
 * that is worth it, or it has to get an owner now, and why. Pure; who gets it is decided elsewhere.
 */
import type { MoveReason, NodeName } from '../model.ts';
import type { PlanAddress, PlanInput, PlanNode } from './plan-model.ts';

export type Standing =
  /** It is where it belongs, or on its way there, and nobody may take it away. */
  | { readonly kind: 'fixed'; readonly node: NodeName }
  /** It may be moved, in its own time. */
  | { readonly kind: 'placed'; readonly node: NodeName }
  /** It moves now. `to`: there, and nowhere else. `stays`: where it is kept if nobody else may have it. */
  | {
      readonly kind: 'loose';
      readonly reason: MoveReason;
      readonly to?: NodeName | undefined;
      readonly stays?: NodeName | undefined;
    };

/** A node that may be given something. */
export const takes = ({ state }: PlanNode): boolean => state === 'ready';

export function standingOf(
  address: PlanAddress,
  { owners, moving }: Pick<PlanInput, 'owners' | 'moving'>,
  nodes: ReadonlyMap<NodeName, PlanNode>,
): Standing {
  const owner = owners.get(address.address);
  const pin = pinOf(address, nodes);
  if (owner === undefined) return { kind: 'loose', reason: 'new', to: pin };
  const node = nodes.get(owner);
  if (node === undefined || node.state === 'dead') return { kind: 'loose', reason: 'dead', to: pin };
  if (!mayHold(address, owner)) return { kind: 'loose', reason: 'ineligible', to: pin };
  if (moving.has(address.address)) return { kind: 'fixed', node: owner };
  if (pin !== undefined)
    return pin === owner ? { kind: 'fixed', node: owner } : { kind: 'loose', reason: 'pin', to: pin };
  switch (node.state) {
    case 'unready':
      return { kind: 'loose', reason: 'unready', stays: owner };
    case 'draining':
      return { kind: 'loose', reason: 'drain', stays: owner };
    case 'cordoned':
      return { kind: 'fixed', node: owner };
    case 'ready':
      return { kind: 'placed', node: owner };
  }
}

/** A pin is an operator's word: a cordon does not stand against it. A node that is leaving or cannot hold the address does. */
export function pinOf(address: PlanAddress, nodes: ReadonlyMap<NodeName, PlanNode>): NodeName | undefined {
  const { pinnedTo, use } = address;
  if (pinnedTo === undefined || !mayHold(address, pinnedTo)) return undefined;
  const state = nodes.get(pinnedTo)?.state;
  const isAble = state === 'ready' || state === 'cordoned' || (state === 'unready' && use === 'apiserver');
  return isAble ? pinnedTo : undefined;
}

export const mayHold = ({ eligible }: PlanAddress, node: NodeName): boolean =>
  eligible === undefined || eligible.has(node);
