/**
 * The `vip-objects` builtin: what the process of virtual IPs may do in the API, by its own name and
 * no more. All nodes share the name: that one of them holds only what it was given is a matter of
 * their Leases, not of permissions.
 */
import type { Builtin } from '../unit/builtin.ts';
import { applyObjects, type ApiObject, type Connect } from './api-objects.ts';
import { vipUser } from './certificate-plan.ts';

const group = 'rbac.authorization.k8s.io';
const labels = { 'app.kubernetes.io/managed-by': 'k3s-lite' };
/** Of the Leases and the assignment. */
const namespace = 'kube-system';

const followed = ['get', 'list', 'watch'];
const clusterRules = [
  { apiGroups: [''], resources: ['services', 'nodes'], verbs: followed },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: followed },
  { apiGroups: [''], resources: ['services/status'], verbs: ['get', 'patch', 'update'] },
  { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
];
/** RBAC cannot say "names that begin with vip-", and knows no name of what is to be created. */
const namespaceRules = [
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: [...followed, 'create', 'update', 'delete'] },
  { apiGroups: [''], resources: ['configmaps'], verbs: ['create'] },
  {
    apiGroups: [''],
    resources: ['configmaps'],
    resourceNames: ['vip-assignment', 'vip-wishes'],
    verbs: [...followed, 'update', 'patch'],
  },
];

export function vipObjects(): readonly ApiObject[] {
  return [
    ...granted('ClusterRole', `/apis/${group}/v1`, { name: vipUser, labels }, clusterRules),
    ...granted(
      'Role',
      `/apis/${group}/v1/namespaces/${namespace}`,
      { name: vipUser, namespace, labels },
      namespaceRules,
    ),
  ];
}

function granted(
  kind: 'Role' | 'ClusterRole',
  folder: string,
  metadata: { readonly name: string; readonly namespace?: string; readonly labels: object },
  rules: readonly object[],
): readonly ApiObject[] {
  const apiVersion = `${group}/v1`;
  const plural = kind.toLowerCase();
  return [
    { path: `${folder}/${plural}s/${metadata.name}`, body: { apiVersion, kind, metadata, rules } },
    {
      path: `${folder}/${plural}bindings/${metadata.name}`,
      body: {
        apiVersion,
        kind: `${kind}Binding`,
        metadata,
        roleRef: { apiGroup: group, kind, name: metadata.name },
        subjects: [{ apiGroup: group, kind: 'User', name: vipUser }],
      },
    },
  ];
}

export function vipObjectsBuiltin(connect: Connect): Builtin {
  return async ({ signal, log }) => {
    await applyObjects(connect, vipObjects(), signal);
    log(`${vipUser} may follow Services and keep Leases in ${namespace}`);
  };
}
