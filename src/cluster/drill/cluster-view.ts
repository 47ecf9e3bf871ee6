/** Who serves the API and who leads, as the API itself says. */
import * as z from 'zod';
import { apiEndpointSlices, serversOfSlice } from '../discovery/api-servers.ts';
import { unlessMissing, type KubeClient } from '../kube-client.ts';
import type { Leaders } from './drill-report.ts';

const leaseSchema = z.object({ spec: z.object({ holderIdentity: z.string().nullish() }) });

/** "host:port" of each API server. Source: kube-apiserver keeps its endpoints in this slice (`--endpoint-reconciler-type`). */
export async function apiServers(client: Pick<KubeClient, 'get'>, signal: AbortSignal): Promise<readonly string[]> {
  return serversOfSlice(await client.get(`${apiEndpointSlices.path}/kubernetes`, signal));
}

export async function leadersOf(client: Pick<KubeClient, 'get'>, signal: AbortSignal): Promise<Leaders> {
  const holder = async (name: string) => {
    const path = `/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/${name}`;
    const lease = leaseSchema.safeParse(await unlessMissing(client.get(path, signal)));
    // "s1_4f1c…": the host's name and something that is unique.
    return lease.success ? (lease.data.spec.holderIdentity ?? undefined)?.split('_')[0] : undefined;
  };
  const [controllerManager, scheduler] = await Promise.all([
    holder('kube-controller-manager'),
    holder('kube-scheduler'),
  ]);
  return { controllerManager, scheduler };
}
