/**
 * The `namespace-defaults` builtin: what a pod needs of its namespace, made as soon as kube-apiserver
 * takes requests: the ServiceAccount `default` (admission refuses pods before it is there) and the
 * ConfigMap `kube-root-ca.crt` (each pod's token volume has it).
 *
 * They are the work of two controllers, which begin when the whole of kube-apiserver is ready, as the
 * last of forty in kube-controller-manager: a second and a half later. The controllers find these
 * objects as they would have made them, keep them, and make those of other namespaces.
 *
 * Source: Kubernetes `ServiceAccountsController`, and `rootcacertpublisher` for the ConfigMap's name,
 * key and annotation.
 */
import type { Clock } from '../kernel/clock.ts';
import { saidOnce } from '../kernel/said-once.ts';
import type { Builtin } from '../unit/builtin.ts';
import type { Connect } from './api-objects.ts';
import { createEarly } from './create-early.ts';
import { KubeApiError } from './kube-client.ts';

/** Where a new cluster's first pods are made. */
const namespaces = ['default', 'kube-system'];
/** The publisher asks that there is one, and puts its own in place of none. */
const description = 'The authority of the certificate that kube-apiserver shows inside the cluster.';

export interface NamespaceDefaultsPorts {
  readonly clock: Clock;
  readonly connect: Connect;
  /** The authority of kube-apiserver's certificate: what `--root-ca-file` names. */
  readonly rootCa: () => Promise<string>;
}

export function namespaceDefaultsBuiltin({ clock, connect, rootCa }: NamespaceDefaultsPorts): Builtin {
  return async ({ snapshotOf, signal, log }) => {
    using client = await connect();
    const serviceAccount = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } };
    const bundle = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'kube-root-ca.crt', annotations: { 'kubernetes.io/description': description } },
      data: { 'ca.crt': await rootCa() },
    };
    // From then on the controllers are at it, too.
    const isLast = () => snapshotOf('kube-apiserver').state === 'ready';
    const options = { clock, signal, say: saidOnce(log), isLast };
    try {
      for (const namespace of namespaces) {
        const collection = (kind: string) => `/api/v1/namespaces/${namespace}/${kind}`;
        await createEarly(client, collection('serviceaccounts'), serviceAccount, options);
        await createEarly(client, collection('configmaps'), bundle, options);
      }
    } catch (error) {
      // A policy of the cluster's own may want them otherwise: no start fails for that.
      if (!(error instanceof KubeApiError) || error.status === 401) throw error;
      log(`the rest is left to the controllers: ${error.message}`);
    }
  };
}
