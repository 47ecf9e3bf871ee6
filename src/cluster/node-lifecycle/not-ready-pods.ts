/**
 * The pods of a node that nobody believes any more, as the node lifecycle controller of Kubernetes writes them. Pure.
 *
 * It does so only when it has seen the node turn from Ready itself: one that starts later finds the node Unknown, and
 * would leave its pods Ready in Services until they are evicted.
 * Source: Kubernetes `controller_utils.go`, MarkPodsNotReady; `node_lifecycle_controller.go`, monitorNodeHealth.
 */
import * as z from 'zod';
import { isoSecond } from '../../kernel/iso-second.ts';
import { changeConditions, statusSchema, type Condition } from './conditions.ts';

const podsSchema = z.object({
  items: z
    .array(
      z.looseObject({
        metadata: z.looseObject({ name: z.string(), namespace: z.string(), resourceVersion: z.string() }),
        spec: z.looseObject({ nodeName: z.string().optional() }),
        status: statusSchema,
      }),
    )
    .nullish(),
});
export type ReadPod = NonNullable<z.infer<typeof podsSchema>['items']>[number];

export const podsOfNodePath = (name: string): string =>
  `/api/v1/pods?fieldSelector=${encodeURIComponent(`spec.nodeName=${name}`)}`;

export const podStatusPath = ({ metadata: { name, namespace } }: ReadPod): string =>
  `/api/v1/namespaces/${namespace}/pods/${name}/status`;

/**
 * Those of `nodeName` that are Ready, of the same version, not Ready any more; reason and message stay.
 *
 * @param answer - a list of pods
 * @throws ZodError when it is none
 */
export function notReadyPods(answer: unknown, nodeName: string, wallMs: number): readonly ReadPod[] {
  const turned = { status: 'False', lastTransitionTime: isoSecond(wallMs) };
  return (podsSchema.parse(answer).items ?? []).flatMap((pod) => {
    const status = pod.spec.nodeName === nodeName ? changeConditions(pod.status, isReady, turned) : undefined;
    // A list does not say of each what it is.
    return status === undefined ? [] : [{ apiVersion: 'v1', kind: 'Pod', ...pod, status }];
  });
}

const isReady = ({ type, status }: Condition): boolean => type === 'Ready' && status === 'True';
