/**
 * The addresses that this cluster's servers were given as `--vip-apiserver`, as they write them down
 * (cluster/vip-objects). The process of virtual IPs may read that and not write it: what a Lease names beside it is
 * the word of somebody who may write Leases, and no more. Pure.
 */
import * as z from 'zod';
import { canonicalIp } from '../ip-address.ts';
import type { VipAddress } from '../model.ts';

/** Name of the ConfigMap: by each server's name, its address. */
export const apiServerNamesName = 'vip-apiserver';

const configMap = z.object({ data: z.record(z.string(), z.string()).nullish() });

/** @returns undefined where servers write down nothing: there is no such object. @throws ZodError for what is none */
export function readApiServerNames(object: unknown): ReadonlySet<VipAddress> | undefined {
  if (object === undefined) return undefined;
  const { data } = configMap.parse(object);
  return new Set(Object.values(data ?? {}).flatMap((text) => canonicalIp(text) ?? []));
}
