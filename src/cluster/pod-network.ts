/** The part of the pod network that the cluster has given to a node: its Node object says so. */
import * as z from 'zod';
import { linkedAbort } from '../kernel/abort.ts';
import { parseNetwork } from './ipv4.ts';
import type { KubeClient } from './kube-client.ts';

const node = z.object({ spec: z.object({ podCIDR: z.string().optional() }).optional() });

/** Resolves when the controllers have decided. @throws the signal's reason when it aborts, or the API's refusal */
export async function podCidrOf(
  client: Pick<KubeClient, 'watch'>,
  nodeName: string,
  parent: AbortSignal,
): Promise<string> {
  using end = linkedAbort(parent);
  for await (const { type, object } of client.watch(
    '/api/v1/nodes',
    { fieldSelector: `metadata.name=${nodeName}` },
    end.signal,
  )) {
    const cidr = type === 'DELETED' ? undefined : node.parse(object).spec?.podCIDR;
    if (cidr !== undefined && parseNetwork(cidr) !== undefined) return cidr;
  }
  throw new Error('internal error: a watch ended by itself');
}
