/** What this room reads of Kubernetes' objects. Everything the API answers is checked here. */
import * as z from 'zod';

const texts = z.record(z.string(), z.string()).nullish();

const metadata = z.object({
  name: z.string(),
  namespace: z.string().default(''),
  uid: z.string().default(''),
  resourceVersion: z.string().default(''),
  creationTimestamp: z.string().default(''),
  deletionTimestamp: z.string().optional(),
  labels: texts,
  annotations: texts,
});

const port = z.object({ port: z.number(), protocol: z.string().default('TCP') });

const condition = z.object({
  type: z.string(),
  status: z.string(),
  reason: z.string().default(''),
  message: z.string().default(''),
  lastTransitionTime: z.string().default(''),
});

export const kubeService = z.object({
  metadata,
  spec: z.object({
    type: z.string().default('ClusterIP'),
    loadBalancerClass: z.string().optional(),
    loadBalancerIP: z.string().optional(),
    ipFamilies: z.array(z.string()).nullish(),
    ipFamilyPolicy: z.string().optional(),
    externalTrafficPolicy: z.string().default('Cluster'),
    selector: texts,
    ports: z.array(port).nullish(),
  }),
  status: z
    .object({
      loadBalancer: z.object({ ingress: z.array(z.object({ ip: z.string().optional() })).nullish() }).nullish(),
      conditions: z.array(condition).nullish(),
    })
    .nullish(),
});
export type KubeService = z.infer<typeof kubeService>;

export const kubeEndpointSlice = z.object({
  metadata,
  endpoints: z
    .array(
      z.object({
        addresses: z.array(z.string()).nullish(),
        nodeName: z.string().optional(),
        conditions: z.object({ ready: z.boolean().nullish() }).nullish(),
      }),
    )
    .nullish(),
  ports: z.array(z.object({ port: z.number().nullish() })).nullish(),
});
export type KubeEndpointSlice = z.infer<typeof kubeEndpointSlice>;

export const kubeNode = z.object({
  metadata,
  spec: z.object({ unschedulable: z.boolean().default(false) }).nullish(),
  status: z.object({ conditions: z.array(condition).nullish() }).nullish(),
});
export type KubeNode = z.infer<typeof kubeNode>;

/** "default/web". */
export type ServiceKey = string;

export const keyOf = ({ metadata: { namespace, name } }: { readonly metadata: KubeService['metadata'] }): ServiceKey =>
  `${namespace}/${name}`;

/** The Service of all API servers. Source: Kubernetes. */
export const apiServerService: ServiceKey = 'default/kubernetes';

/** Prefix of our annotations and of the class. */
const prefix = 'k3s-lite.io/';

export const annotation = ({ metadata: { annotations } }: Pick<KubeService, 'metadata'>, name: string) =>
  annotations?.[`${prefix}vip-${name}`];

/** `spec.loadBalancerClass` of the Services that are ours. */
export const vipClass = `${prefix}vip`;

/** Type of the condition that tells how a Service stands. */
export const vipCondition = `${prefix}VIP`;

/** Source: Kubernetes, well-known labels. */
export const excludeLabel = 'node.kubernetes.io/exclude-from-external-load-balancers';

/** Source: Kubernetes EndpointSlice API. */
export const serviceNameLabel = 'kubernetes.io/service-name';
