/**
 * A Node of which nobody knows any more how it is, as the node lifecycle controller of Kubernetes writes it. Pure.
 * Source: Kubernetes `node_lifecycle_controller.go`, tryUpdateNodeHealth.
 */
import * as z from 'zod';

/** What the kubelet says of its node. NetworkUnavailable is not its own. */
const ofKubelet: readonly string[] = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'];

const nodeSchema = z.looseObject({
  metadata: z.looseObject({ name: z.string(), uid: z.string().optional(), resourceVersion: z.string() }),
  status: z.looseObject({ conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).nullish() }),
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
  const conditions = node.status.conditions ?? [];
  const isBelieved = ({ type, status }: { type: string; status: string }) =>
    ofKubelet.includes(type) && status !== 'Unknown';
  if (!conditions.some(isBelieved)) return undefined;
  const unknown = {
    status: 'Unknown',
    reason: 'NodeStatusUnknown',
    message: 'Kubelet stopped posting node status.',
    lastTransitionTime: kubeTime(wallMs),
  };
  const changed = conditions.map((each) => (isBelieved(each) ? { ...each, ...unknown } : each));
  return { ...node, status: { ...node.status, conditions: changed } };
}

/** Whole seconds. Source: Kubernetes `metav1.Time`. */
export const kubeTime = (wallMs: number): string => `${new Date(wallMs).toISOString().slice(0, 19)}Z`;
