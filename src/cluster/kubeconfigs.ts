/**
 * The `kubeconfigs` builtin. Certificates are embedded, so that a file can be copied elsewhere and
 * holds no path of this machine (three components exit at once over such a path).
 */
import { chmod, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Builtin } from '../unit/builtin.ts';
import { layoutOf } from './layout.ts';
import { apiServerUrl, type Settings } from './settings.ts';
import { writeIfChanged } from './stored-file.ts';

interface KubeconfigPlan {
  readonly file: string;
  readonly user: string;
  readonly certificate: string;
}

export function kubeconfigPlan(settings: Settings): readonly KubeconfigPlan[] {
  const { serverTls, agentTls, serverCred, agentCred } = layoutOf(settings);
  return [
    { file: settings.writeKubeconfig, user: 'default', certificate: `${serverTls}/client-admin` },
    { file: `${serverCred}/admin.kubeconfig`, user: 'default', certificate: `${serverTls}/client-admin` },
    {
      file: `${serverCred}/controller.kubeconfig`,
      user: 'kube-controller-manager',
      certificate: `${serverTls}/client-controller`,
    },
    {
      file: `${serverCred}/scheduler.kubeconfig`,
      user: 'kube-scheduler',
      certificate: `${serverTls}/client-scheduler`,
    },
    { file: `${agentCred}/kubelet.kubeconfig`, user: 'kubelet', certificate: `${agentTls}/client-kubelet` },
    { file: `${agentCred}/kube-proxy.kubeconfig`, user: 'kube-proxy', certificate: `${agentTls}/client-kube-proxy` },
    { file: `${agentCred}/coredns.kubeconfig`, user: 'coredns', certificate: `${agentTls}/client-coredns` },
  ];
}

/** Of an agent: its node's alone. */
export function agentKubeconfigPlan(settings: Settings): readonly KubeconfigPlan[] {
  const { agentCred } = layoutOf(settings);
  return kubeconfigPlan(settings).filter(({ file }) => path.dirname(file) === agentCred);
}

export interface KubeconfigData {
  readonly server: string;
  readonly user: string;
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** JSON is YAML: every reader of kubeconfigs takes it, and nothing has to be quoted by hand. */
export function renderKubeconfig({ server, user, ca, cert, key }: KubeconfigData): string {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'default', cluster: { server, 'certificate-authority-data': ca.toString('base64') } }],
    users: [
      {
        name: user,
        user: { 'client-certificate-data': cert.toString('base64'), 'client-key-data': key.toString('base64') },
      },
    ],
    contexts: [{ name: 'default', context: { cluster: 'default', user } }],
    'current-context': 'default',
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/**
 * @param server - URL of kube-apiserver
 * @param tls - folder with the authority that it has to prove itself by
 * @returns the files that were written
 */
export async function writeKubeconfigs(
  plan: readonly KubeconfigPlan[],
  server: string,
  tls: string,
): Promise<readonly string[]> {
  const ca = await readFile(`${tls}/server-ca.crt`);
  const written = await Promise.all(
    plan.map(async ({ file, user, certificate }) => {
      const [cert, key] = await Promise.all([readFile(`${certificate}.crt`), readFile(`${certificate}.key`)]);
      const isNew = await writeIfChanged(file, renderKubeconfig({ server, user, ca, cert, key }), 0o600);
      if (!isNew) await chmod(file, 0o600); // somebody may have opened it: it holds a key
      return isNew ? [file] : [];
    }),
  );
  return written.flat();
}

/** @returns the files that were written */
export function ensureKubeconfigs(settings: Settings): Promise<readonly string[]> {
  return writeKubeconfigs(kubeconfigPlan(settings), apiServerUrl(settings), layoutOf(settings).serverTls);
}

export function kubeconfigsBuiltin(settings: Settings): Builtin {
  return async ({ log }) => {
    for (const file of await ensureKubeconfigs(settings)) log(`wrote ${file}`);
  };
}
