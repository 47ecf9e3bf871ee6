/**
 * What operators have asked for: nodes that are to take none or to give all away, addresses that belong
 * on a node. Kept in one object of the cluster, so that it outlives every process. Pure.
 */
import * as z from 'zod';
import { parseJson } from '../../kernel/json.ts';
import type { OperateRequest, VipVerb } from '../control-model.ts';
import type { NodeName, NodeState, VipAddress } from '../model.ts';
import type { PlanAddress } from '../plan/plan-model.ts';

export interface Wishes {
  readonly cordoned: readonly NodeName[];
  readonly draining: readonly NodeName[];
  readonly pins: Readonly<Record<VipAddress, NodeName>>;
  /** Until then voluntary moves wait for no window; by the wall clock. */
  readonly rebalanceUntilMs?: number | undefined;
}

export const noWishes: Wishes = { cordoned: [], draining: [], pins: {} };

/** Name of the ConfigMap, and of its key. */
export const wishesName = 'vip-wishes';
const key = 'wishes';

const names = z.array(z.string().min(1)).default([]);
const schema = z.object({
  cordoned: names,
  draining: names,
  pins: z.record(z.string(), z.string()).default({}),
  rebalanceUntilMs: z.number().optional(),
});
const configMap = z.object({ data: z.object({ [key]: z.string() }).nullish() });

/** @throws ZodError for what is none; an object without the key has no wishes */
export function readWishes(object: unknown): Wishes {
  const text = configMap.parse(object).data?.[key];
  return text === undefined ? noWishes : schema.parse(parseJson(text));
}

/** The object for server-side apply. */
export const wishesObject = (namespace: string, wishes: Wishes): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: wishesName, namespace },
  data: { [key]: JSON.stringify(wishes) },
});

/** @throws RangeError that says what is missing or unknown */
export function withWish(
  wishes: Wishes,
  verb: VipVerb,
  { node, address }: OperateRequest,
  known: {
    readonly nodes: ReadonlySet<NodeName>;
    readonly addresses: ReadonlySet<VipAddress>;
    /** Undefined: there is no window that it would have to be kept for, what is worth a move is moved at any time. */
    readonly rebalanceUntilMs?: number | undefined;
  },
): Wishes {
  const knownNode = (): NodeName => {
    if (node !== undefined && known.nodes.has(node)) return node;
    throw new RangeError(`${node ?? 'no node'} is none of ${[...known.nodes].sort().join(', ') || 'the nodes'}`);
  };
  const knownAddress = (): VipAddress => {
    if (address !== undefined && known.addresses.has(address)) return address;
    throw new RangeError(`${address ?? 'no address'} is no virtual IP of this cluster: see k3s-lite vip status`);
  };
  const without = (list: readonly NodeName[], name: NodeName) => list.filter((each) => each !== name);
  switch (verb) {
    case 'rebalance':
      return known.rebalanceUntilMs === undefined ? wishes : { ...wishes, rebalanceUntilMs: known.rebalanceUntilMs };
    case 'cordon':
      return { ...wishes, cordoned: [...without(wishes.cordoned, knownNode()), knownNode()] };
    case 'uncordon':
      return { ...wishes, cordoned: without(wishes.cordoned, knownNode()) };
    case 'drain':
      return { ...wishes, draining: [...without(wishes.draining, knownNode()), knownNode()] };
    case 'undrain':
      return { ...wishes, draining: without(wishes.draining, knownNode()) };
    case 'pin':
      return { ...wishes, pins: { ...wishes.pins, [knownAddress()]: knownNode() } };
    case 'unpin': {
      const gone = knownAddress();
      return { ...wishes, pins: Object.fromEntries(Object.entries(wishes.pins).filter(([each]) => each !== gone)) };
    }
  }
}

/** What a node is by its object and by what was asked for; its Lease has the last word. */
export function stateOf(name: NodeName, byNode: NodeState, { cordoned, draining }: Wishes): NodeState {
  if (draining.includes(name)) return byNode === 'unready' ? 'unready' : 'draining';
  return cordoned.includes(name) && byNode === 'ready' ? 'cordoned' : byNode;
}

export const withPins = (addresses: readonly PlanAddress[], { pins }: Wishes): readonly PlanAddress[] =>
  addresses.map((each) => {
    const pinnedTo = pins[each.address];
    return pinnedTo === undefined ? each : { ...each, pinnedTo };
  });
