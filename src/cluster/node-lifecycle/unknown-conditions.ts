/**
 * A Node of which nobody knows any more how it is, as the node lifecycle controller of Kubernetes writes it. Pure.
 * Source: Kubernetes `node_lifecycle_controller.go`, tryUpdateNodeHealth.
 */
import * as z from 'zod';
import { isoSecond } from '../../kernel/iso-second.ts';
import { changeConditions, statusSchema, type Condition } from './conditions.ts';

/** What the kubelet says of its node. NetworkUnavailable is not its own. */
const ofKubelet: readonly string[] = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'];

const nodeSchema = z.looseObject({
  metadata: z.looseObject({ name: z.string(), uid: z.string().optional(), resourceVersion: z.string() }),
  status: statusSchema,
});
export type ReadNode = z.infer<typeof nodeSchema>;

/**
 * The same Node, of the same version, with the kubelet's conditions Unknown; undefined when they are already, or were
 * never anything: nobody believes what is not there.
 *
 * @throws ZodError when it is no Node
 */
export function withUnknownConditions(object: unknown, wallMs: number): ReadNode | undefined {
  const node = nodeSchema.parse(object);
  const status = changeConditions(node.status, isBelieved, {
    status: 'Unknown',
    reason: 'NodeStatusUnknown',
    message: 'Kubelet stopped posting node status.',
    lastTransitionTime: isoSecond(wallMs),
  });
  return status && { ...node, status };
}

const isBelieved = ({ type, status }: Condition): boolean => ofKubelet.includes(type) && status !== 'Unknown';
