/** Services and nodes as the API answers them, with what a test says of them. */
import { kubeNode, kubeService, type KubeNode, type KubeService } from '../../../src/vip/service/kube-objects.ts';

interface Told {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly created?: string;
  readonly has?: readonly string[];
  readonly spec?: object;
  readonly conditions?: readonly object[];
}

export function service(
  name: string,
  { annotations = {}, created = '2026-01-01T00:00:00Z', has = [], spec, conditions }: Told = {},
): KubeService {
  return kubeService.parse({
    metadata: {
      name,
      namespace: 'default',
      uid: name,
      creationTimestamp: created,
      annotations: Object.fromEntries(
        Object.entries(annotations).map(([key, value]) => [`k3s-lite.io/vip-${key}`, value]),
      ),
    },
    spec: {
      type: 'LoadBalancer',
      loadBalancerClass: 'k3s-lite.io/vip',
      ipFamilies: ['IPv4'],
      ports: [{ port: 80 }],
      ...spec,
    },
    status: { loadBalancer: { ingress: has.map((ip) => ({ ip })) }, conditions },
  });
}

export const node = (name: string, labels: Readonly<Record<string, string>> = {}): KubeNode =>
  kubeNode.parse({ metadata: { name, labels } });
