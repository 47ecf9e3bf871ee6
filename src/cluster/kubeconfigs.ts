/**
 * The `kubeconfigs` builtin. In those for people certificates are embedded, so that a file can be
 * copied elsewhere. Those of components name the files: client-go reads them again when they have
 * changed (client-go `transport.ReloadTLSFiles`), so a renewed certificate needs no restart.
 */
import { chmod, readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { parseJson } from '../kernel/json.ts';
import type { Builtin } from '../unit/builtin.ts';
import type { KubeCredentials } from './kube-client.ts';
import { layoutOf } from './layout.ts';
import { apiServerUrl, hasVips, type Settings } from './settings.ts';
import { writeIfChanged } from '../kernel/stored-file.ts';

interface KubeconfigPlan {
  readonly file: string;
  readonly user: string;
  /** File of the certificate, without its ending. */
  readonly certificate: string;
  /** May be copied to another machine. */
  readonly isForPeople?: boolean;
}

export function kubeconfigPlan(settings: Settings): readonly KubeconfigPlan[] {
  const { serverTls, agentTls, serverCred, agentCred } = layoutOf(settings);
  const admin = { user: 'default', certificate: `${serverTls}/client-admin`, isForPeople: true };
  return [
    { file: settings.writeKubeconfig, ...admin },
    { file: `${serverCred}/admin.kubeconfig`, ...admin },
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
    ...(hasVips(settings)
      ? [{ file: `${agentCred}/vip.kubeconfig`, user: 'vip', certificate: `${agentTls}/client-vip` }]
      : []),
  ];
}

/** Of an agent: its node's alone. */
export function agentKubeconfigPlan(settings: Settings): readonly KubeconfigPlan[] {
  const { agentCred } = layoutOf(settings);
  return kubeconfigPlan(settings).filter(({ file }) => path.dirname(file) === agentCred);
}

/** Where one's certificates are: in it, or the files. */
type Material =
  | { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer }
  | { readonly caFile: string; readonly certFile: string; readonly keyFile: string };

export interface KubeconfigData {
  readonly server: string;
  readonly user: string;
  readonly material: Material;
}

/** JSON is YAML: every reader of kubeconfigs takes it, and nothing has to be quoted by hand. */
export function renderKubeconfig({ server, user, material }: KubeconfigData): string {
  const [authority, credentials] =
    'ca' in material
      ? [
          { 'certificate-authority-data': material.ca.toString('base64') },
          {
            'client-certificate-data': material.cert.toString('base64'),
            'client-key-data': material.key.toString('base64'),
          },
        ]
      : [
          { 'certificate-authority': material.caFile },
          { 'client-certificate': material.certFile, 'client-key': material.keyFile },
        ];
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'default', cluster: { server, ...authority } }],
    users: [{ name: user, user: credentials }],
    contexts: [{ name: 'default', context: { cluster: 'default', user } }],
    'current-context': 'default',
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

const componentSchema = z.object({
  clusters: z.tuple([z.object({ cluster: z.object({ server: z.url(), 'certificate-authority': z.string() }) })]),
  users: z.tuple([z.object({ user: z.object({ 'client-certificate': z.string(), 'client-key': z.string() }) })]),
});

/** What a component's kubeconfig says, with what is in its files now. @throws what reading fails with, or an Error that names the file */
export async function readKubeconfig(file: string): Promise<KubeCredentials> {
  const parsed = componentSchema.safeParse(parseJson(await readFile(file, 'utf8')));
  if (!parsed.success) throw new Error(`${file} is no kubeconfig of a component of ours`);
  const [{ cluster }] = parsed.data.clusters;
  const [{ user }] = parsed.data.users;
  const [ca, cert, key] = await Promise.all([
    readFile(cluster['certificate-authority']),
    readFile(user['client-certificate']),
    readFile(user['client-key']),
  ]);
  return { url: cluster.server, ca, cert, key };
}

const userSchema = z.object({
  clusters: z.tuple([z.object({ cluster: z.object({ server: z.url(), 'certificate-authority-data': z.base64() }) })]),
  users: z.tuple([
    z.object({ user: z.object({ 'client-certificate-data': z.base64(), 'client-key-data': z.base64() }) }),
  ]),
});

/** What a kubeconfig of ours for people says. @throws what reading fails with, or an Error that names the file */
export async function readUserKubeconfig(file: string): Promise<KubeCredentials> {
  const parsed = userSchema.safeParse(parseJson(await readFile(file, 'utf8')));
  if (!parsed.success) throw new Error(`${file} is no kubeconfig of ours`);
  const [{ cluster }] = parsed.data.clusters;
  const [{ user }] = parsed.data.users;
  const bytes = (text: string) => Buffer.from(text, 'base64');
  return {
    url: cluster.server,
    ca: bytes(cluster['certificate-authority-data']),
    cert: bytes(user['client-certificate-data']),
    key: bytes(user['client-key-data']),
  };
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
  const caFile = `${tls}/server-ca.crt`;
  const written = await Promise.all(
    plan.map(async ({ file, user, certificate, isForPeople = false }) => {
      const [certFile, keyFile] = [`${certificate}.crt`, `${certificate}.key`];
      const material = isForPeople ? await contentOf(caFile, certFile, keyFile) : { caFile, certFile, keyFile };
      const isNew = await writeIfChanged(file, renderKubeconfig({ server, user, material }), 0o600);
      if (!isNew) await chmod(file, 0o600); // somebody may have opened it: it may hold a key
      return isNew ? [file] : [];
    }),
  );
  return written.flat();
}

async function contentOf(caFile: string, certFile: string, keyFile: string): Promise<Material> {
  const [ca, cert, key] = await Promise.all([readFile(caFile), readFile(certFile), readFile(keyFile)]);
  return { ca, cert, key };
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
