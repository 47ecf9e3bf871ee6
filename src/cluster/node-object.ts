/**
 * The `node-object` builtin: makes this machine's Node object as soon as kube-apiserver takes
 * requests, before the kubelet runs.
 *
 * A kubelet that finds neither its Lease nor its Node gives up on the Lease until the next renewal,
 * 10 s later (component-helpers `lease.controller.ensureLease`, kubelet `SetNodeOwnerFunc`), and on a
 * new cluster it nearly always asks for the Lease first. With the Node there, registration and Lease
 * pass at the first attempt; the kubelet then fills the Node in as it does after each restart.
 */
import type { Builtin } from '../unit/builtin.ts';
import type { Clock } from '../kernel/clock.ts';
import { saidOnce } from '../kernel/said-once.ts';
import type { Connect } from './api-objects.ts';
import { createEarly } from './create-early.ts';

export interface NodeObjectPorts {
  readonly clock: Clock;
  readonly connect: Connect;
  /** The part of the pod network that this node takes by itself; undefined: the controllers decide. */
  readonly podCidr?: string | undefined;
}

export function nodeObjectBuiltin(nodeName: string, { clock, connect, podCidr }: NodeObjectPorts): Builtin {
  const body = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: nodeName, labels: { 'kubernetes.io/hostname': nodeName } },
    ...(podCidr === undefined ? {} : { spec: { podCIDR: podCidr } }),
  };
  return async ({ signal, log }) => {
    using client = await connect();
    const isNew = await createEarly(client, '/api/v1/nodes', body, { clock, signal, say: saidOnce(log) });
    if (isNew) log(`made node ${nodeName}`);
  };
}
