/**
 * What an operator may ask the process of virtual IPs on a node, and what it answers: the words that
 * the process and the command line have in common. HTTP on a unix socket that only its owner can reach.
 *
 *   GET  /v1/status             StatusAnswer
 *   GET  /v1/plan               PlanAnswer: what would be done now, window or not; nothing is done
 *   GET  /v1/explain?address=…  ExplainAnswer
 *   GET  /v1/metrics            text of Prometheus
 *   POST /v1/VERB               OperateRequest → OperateAnswer, for each of `vipVerbs`
 *
 * Every node's process tells the status, from the assignment and the node Leases that it follows; the
 * coordinator's alone plans, explains and is asked for something: another one says which node that is.
 * What an operator asks for is kept with the cluster, so that it survives the coordinator.
 */
import * as z from 'zod';
import { elections, grantStates, moveReasons, nodeStates } from './model.ts';

/** `rebalance`: voluntary moves are made now, without a window; the others are about one node or one address. */
export const vipVerbs = ['rebalance', 'drain', 'undrain', 'cordon', 'uncordon', 'pin', 'unpin'] as const;
export type VipVerb = (typeof vipVerbs)[number];

const nodeStatus = z.object({
  name: z.string(),
  state: z.enum(nodeStates),
  capacity: z.number(),
  /** Of what it was for its flaps; 0: none. */
  penalty: z.number(),
  /** Addresses that it holds. */
  held: z.number(),
  /** Their weights. */
  load: z.number(),
  /** What its load would be in the best assignment. */
  fairShare: z.number().optional(),
  /** Until its Lease runs out; of the coordinator's view. */
  leaseLeftMs: z.number().optional(),
});

const addressStatus = z.object({
  address: z.string(),
  /** Absent: nobody. */
  owner: z.string().optional(),
  state: z.enum([...grantStates, 'unassigned']),
  next: z.string().optional(),
  generation: z.number().optional(),
  weight: z.number(),
  /** "default/web"; "apiserver": it is the API servers' own. */
  services: z.array(z.string()),
  pool: z.string().optional(),
  pinnedTo: z.string().optional(),
});

export const statusAnswer = z.object({
  /** This node. */
  node: z.string(),
  /** Whether its process may answer for its addresses now: its own Lease is good. */
  leaseGood: z.boolean(),
  coordinator: z.string().optional(),
  epoch: z.number(),
  /** How the cluster finds owners; absent: by the coordinator. */
  election: z.enum(elections).optional(),
  /** Living nodes that were told another way, and go this one. */
  toldOtherwise: z.array(z.string()).optional(),
  imbalance: z.number(),
  /** Absent: voluntary moves at any time. */
  window: z.object({ isOpen: z.boolean(), changesInMs: z.number().optional() }).optional(),
  nodes: z.array(nodeStatus),
  addresses: z.array(addressStatus),
});
export type StatusAnswer = z.infer<typeof statusAnswer>;

const plannedMove = z.object({
  address: z.string(),
  from: z.string().optional(),
  to: z.string(),
  reason: z.enum(moveReasons),
});

export const planAnswer = z.object({
  moves: z.array(plannedMove),
  waiting: z.array(plannedMove.extend({ until: z.enum(['window', 'pace', 'rest']) })),
  unassigned: z.array(z.string()),
  violations: z.array(z.object({ kind: z.enum(['group', 'together', 'preferred']), address: z.string() })),
  imbalance: z.object({ now: z.number(), afterwards: z.number() }),
  election: z.enum(elections).optional(),
});
export type PlanAnswer = z.infer<typeof planAnswer>;

export const explainAnswer = z.object({
  address: z.string(),
  owner: z.string().optional(),
  election: z.enum(elections).optional(),
  /** "stays: its node has its fair share", "waits for the window: rebalance to b". */
  verdict: z.string(),
  /** Each node, whether it may have the address, and why it has it or has not. */
  nodes: z.array(
    z.object({
      name: z.string(),
      may: z.boolean(),
      load: z.number(),
      /** What one more of this address would cost, by load² / capacity: the least gets it. */
      cost: z.number().optional(),
      why: z.string(),
    }),
  ),
});
export type ExplainAnswer = z.infer<typeof explainAnswer>;

/** `rebalance` needs neither, the verbs of nodes `node`, `pin` both, `unpin` the address. */
export const operateRequest = z.strictObject({
  node: z.string().min(1).optional(),
  address: z.string().min(1).optional(),
});
export type OperateRequest = z.infer<typeof operateRequest>;

/** What has been asked for, and what follows from it. It is asked for, not done: `vip status` tells how far it is. */
export const operateAnswer = z.object({
  asked: z.string(),
  plan: planAnswer,
  /** What it does not do, and why. */
  notes: z.array(z.string()).optional(),
});
export type OperateAnswer = z.infer<typeof operateAnswer>;
