/**
 * The `vip-objects` builtin: what the process of virtual IPs may do in the API, by its own name and
 * no more. All nodes share the name: that one of them holds only what it was given is a matter of
 * their Leases, not of permissions.
 *
 * And the address that the API servers share, which each server writes down for itself: the process may read
 * that, and not write it (vip/service/api-server-names).
 */
import type { Builtin } from '../unit/builtin.ts';
import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { applyObjects, type ApiObject, type Connect } from './api-objects.ts';
import { isConflict, KubeApiError, unlessMissing, type KubeClient } from './kube-client.ts';
import { vipUser } from './certificate-plan.ts';

const group = 'rbac.authorization.k8s.io';
const labels = { 'app.kubernetes.io/managed-by': 'k3s-lite' };
/** Of the Leases and the assignment. */
const namespace = 'kube-system';

/** By each server's name its `--vip-apiserver`. */
const namesName = 'vip-apiserver';
const namesPath = `/api/v1/namespaces/${namespace}/configmaps`;
/** Servers that start together write one after the other. */
const mostTries = 10;

const followed = ['get', 'list', 'watch'];
const clusterRules = [
  { apiGroups: [''], resources: ['services', 'nodes'], verbs: followed },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: followed },
  { apiGroups: [''], resources: ['services/status'], verbs: ['get', 'patch', 'update'] },
  { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
];
/** RBAC cannot say "names that begin with vip-", and knows no name of what is to be created: of Leases, {@link onlyOwnLeases} says it. */
const namespaceRules = [
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: [...followed, 'create', 'update', 'delete'] },
  { apiGroups: [''], resources: ['configmaps'], verbs: ['create'] },
  {
    apiGroups: [''],
    resources: ['configmaps'],
    resourceNames: ['vip-assignment', 'vip-wishes'],
    verbs: [...followed, 'update', 'patch'],
  },
  { apiGroups: [''], resources: ['configmaps'], resourceNames: [namesName], verbs: followed },
];

/** What the process may do, and before it what limits that. */
export const vipObjects = (): readonly ApiObject[] => [...onlyOwnLeases(), ...permissions()];

function permissions(): readonly ApiObject[] {
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

/** Beside its own there are those of controllers, API servers and cluster DNS: who could write them could stop all of these. */
function onlyOwnLeases(): readonly ApiObject[] {
  const apiGroup = 'admissionregistration.k8s.io';
  const metadata = { name: 'k3s-lite-vip-leases', labels };
  const leases = { apiGroups: ['coordination.k8s.io'], apiVersions: ['*'], resources: ['leases'] };
  const kind = 'ValidatingAdmissionPolicy';
  return [
    {
      path: `/apis/${apiGroup}/v1/validatingadmissionpolicies/${metadata.name}`,
      body: {
        apiVersion: `${apiGroup}/v1`,
        kind,
        metadata,
        spec: {
          failurePolicy: 'Fail',
          matchConstraints: { resourceRules: [{ ...leases, operations: ['CREATE', 'UPDATE', 'DELETE'] }] },
          matchConditions: [{ name: 'by-virtual-ips', expression: `request.userInfo.username == '${vipUser}'` }],
          validations: [
            {
              // What is created has its name in the object alone.
              expression: `(request.operation == 'CREATE' ? object.metadata.name : request.name).startsWith('vip-')`,
              message: `${vipUser} may write Leases whose names begin with vip-, and no others`,
              reason: 'Forbidden',
            },
          ],
        },
      },
    },
    {
      path: `/apis/${apiGroup}/v1/validatingadmissionpolicybindings/${metadata.name}`,
      body: {
        apiVersion: `${apiGroup}/v1`,
        kind: `${kind}Binding`,
        metadata,
        spec: { policyName: metadata.name, validationActions: ['Deny'] },
      },
    },
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

const configMap = z.object({
  metadata: z.object({ resourceVersion: z.string() }),
  data: z.record(z.string(), z.string()).nullish(),
});

type Names = Readonly<Record<string, string>>;

/** Other servers' are left as they are. */
export function withName(names: Names, server: string, address: string | undefined): Names {
  const others = Object.entries(names).filter(([name]) => name !== server);
  return Object.fromEntries(address === undefined ? others : [...others, [server, address]]);
}

/** Made in any case: with nothing in it nobody's Lease names an address that counts. */
async function writeName(client: KubeClient, server: string, address: string | undefined, signal: AbortSignal) {
  for (let tries = 1; ; tries += 1) {
    try {
      const found = await unlessMissing(client.get(`${namesPath}/${namesName}`, signal));
      const { metadata, data } = found === undefined ? { metadata: undefined, data: {} } : configMap.parse(found);
      const names = withName(data ?? {}, server, address);
      if (metadata !== undefined && isDeepStrictEqual(names, data ?? {})) return;
      const version = metadata === undefined ? {} : { resourceVersion: metadata.resourceVersion };
      const meta = { name: namesName, namespace, labels, ...version };
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: meta, data: names };
      if (metadata === undefined) await client.create(namesPath, body, signal);
      else await client.replace(`${namesPath}/${namesName}`, body, signal);
      return;
    } catch (error) {
      if (!isConflict(error) || tries >= mostTries) throw error;
    }
  }
}

/** @param own - what this server was given as `--vip-apiserver` */
export function vipObjectsBuiltin(
  connect: Connect,
  own: { readonly nodeName: string; readonly vipApiserver: string | undefined },
): Builtin {
  return async ({ signal, log }) => {
    using client = await connect();
    await writeName(client, own.nodeName, own.vipApiserver, signal);
    // What limits a permission is there before the permission.
    try {
      await applyObjects(client, onlyOwnLeases(), signal);
    } catch (error) {
      if (!(error instanceof KubeApiError && error.status === 404)) throw error;
      log(`this API has no admission policies: ${vipUser} could write Leases that are not its own`);
    }
    await applyObjects(client, permissions(), signal);
    log(`${vipUser} may follow Services and keep Leases in ${namespace}`);
  };
}
