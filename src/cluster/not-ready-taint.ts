/**
 * Takes the taint `node.kubernetes.io/not-ready` from a node that is Ready: no pod is placed before.
 *
 * Admission gives it to each new Node, and the node lifecycle controller takes it away, which begins
 * when the whole of kube-apiserver is ready: on a new cluster two seconds after the node is. What it
 * would see then is seen here already. It alone sets the taint again when the node is lost.
 *
 * Source: Kubernetes `TaintNodesByCondition` (admission), `node_lifecycle_controller.go`.
 */
import * as z from 'zod';
import { messageOf } from '../kernel/message-of.ts';
import { KubeApiError, type KubeClient } from './kube-client.ts';
import { readNode } from './node-ready.ts';

const notReady = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' };
/** A kubelet writes its node's status a few times in its first second; each makes an older version stale. */
const attempts = 5;

const tainted = z.looseObject({
  spec: z.looseObject({ taints: z.array(z.looseObject({ key: z.string(), effect: z.string() })).nullish() }).optional(),
});

/** The same Node without the taint, if it is Ready and has it. */
export function withoutNotReadyTaint(object: unknown): object | undefined {
  const node = tainted.parse(object);
  const taints = node.spec?.taints ?? [];
  const others = taints.filter(({ key, effect }) => key !== notReady.key || effect !== notReady.effect);
  if (others.length === taints.length || !readNode(object).ready) return undefined;
  return { ...node, spec: { ...node.spec, taints: others } };
}

/** Never fails for the API's sake: the controller does the same a little later. @throws the reason of `signal` */
export async function removeNotReadyTaint(
  client: Pick<KubeClient, 'get' | 'replace'>,
  nodeName: string,
  { signal, log }: { readonly signal: AbortSignal; readonly log: (line: string) => void },
): Promise<void> {
  const path = `/api/v1/nodes/${nodeName}`;
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    try {
      const node = withoutNotReadyTaint(await client.get(path, signal));
      if (node !== undefined) await client.replace(path, node, signal);
      return;
    } catch (error) {
      signal.throwIfAborted();
      // Somebody has written it meanwhile: the version read last counts.
      if (error instanceof KubeApiError && error.reason === 'Conflict') continue;
      log(`the taint of a node that is not ready is left to the controllers: ${messageOf(error)}`);
      return;
    }
  }
}
