/**
 * A node's keys and certificates, signed by a server of the cluster. Keys are made here and never
 * leave; what is good on disk stays as it is, so that a restart asks nobody.
 */
import { X509Certificate } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { StartupError } from '../../error/startup-error.ts';
import { readPair, renewalReason } from '../certificate-check.ts';
import type { LeafPlan } from '../certificate-plan.ts';
import { readRotation } from '../certificate-rotation.ts';
import { readIfThere, writeAtomically, writeIfChanged } from '../../kernel/stored-file.ts';
import { authorityFor, contentFor } from './issue.ts';
import type { JoinClient, NodeIdentity } from './join-client.ts';
import type { ClientIdentity } from './join-request.ts';
import type { CertificatePurpose, IssuedCertificate } from './wire.ts';

export interface NodeCertificatesOptions {
  /** Folder of the node's keys and certificates. */
  readonly folder: string;
  readonly node: NodeIdentity;
  /** Addresses of the node, besides loopback. */
  readonly ips: readonly string[];
  readonly nowMs: number;
  /** This node has a part in virtual IPs. Not asked for otherwise: an older server does not know it. */
  readonly hasVip?: boolean;
  /** Says which were asked to be made anew. */
  readonly rotationFile: string;
  /** Called when something has to be asked for, once at most. */
  readonly connect: () => Promise<JoinClient>;
}

/** The same names as on a server's own node. */
const files: Readonly<Record<CertificatePurpose, string>> = {
  'kubelet-client': 'client-kubelet',
  'kubelet-serving': 'serving-kubelet',
  'kube-proxy': 'client-kube-proxy',
  coredns: 'client-coredns',
  vip: 'client-vip',
};

/** What a node that has joined before proves itself with; undefined when it has none that can be used. */
export function nodeIdentity(folder: string, nodeName: string): ClientIdentity | undefined {
  try {
    const plan = planOf('kubelet-client', { folder, node: { name: nodeName }, ips: [] });
    const { certificate, keyPem } = readPair(plan.name, plan);
    return certificate === undefined || keyPem === undefined
      ? undefined
      : { cert: certificate.toString(), key: keyPem };
  } catch {
    return undefined; // a broken pair is told of by who looks after it
  }
}

/**
 * @returns one line for each certificate that was fetched, with the reason
 * @throws StartupError ERR_CERTIFICATE for a broken file; what {@link JoinClient} throws
 */
export async function ensureNodeCertificates(options: NodeCertificatesOptions): Promise<readonly string[]> {
  const { folder, node, ips, nowMs } = options;
  const rotation = await readRotation(options.rotationFile);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const authorities = {
    client: await readIfThere(path.join(folder, 'client-ca.crt')),
    server: await readIfThere(path.join(folder, 'server-ca.crt')),
  };
  const missing: { plan: LeafPlan; purpose: CertificatePurpose; keyPem: string | undefined; reason: string }[] = [];
  const purposes = Object.keys(files) as CertificatePurpose[];
  for (const purpose of purposes.filter((name) => name !== 'vip' || options.hasVip === true)) {
    const plan = planOf(purpose, options);
    const { certificate, keyPem } = readPair(plan.name, plan);
    const authority = authorities[authorityFor(purpose)];
    const reason =
      certificate === undefined || keyPem === undefined || authority === undefined
        ? 'it was missing'
        : (renewalReason(plan, certificate, new X509Certificate(authority), nowMs) ??
          rotation.reasonFor(plan.certFile));
    if (reason !== undefined) missing.push({ plan, purpose, keyPem, reason });
  }
  if (missing.length === 0) {
    await rotation.done();
    return [];
  }

  const [client, make] = await Promise.all([options.connect(), import('../certificate-maker.ts')]);
  const fetched: string[] = [];
  // One after the other: the first proves who the node is, and the rest is a matter of milliseconds.
  for (const { plan, purpose, keyPem: stored, reason } of missing) {
    const keyPem = stored ?? (await make.makeEcdsaKey());
    if (stored === undefined) await writeAtomically(plan.keyFile, keyPem, 0o600);
    const csr = await make.makeRequest(plan, keyPem);
    const issued = await client.certificate({ purpose, csr, ips: [...ips] }, node);
    checkIssued(plan, issued, nowMs);
    await writeIfChanged(path.join(folder, 'client-ca.crt'), issued.clientAuthority);
    await writeIfChanged(path.join(folder, 'server-ca.crt'), issued.serverAuthority);
    await writeAtomically(plan.certFile, issued.certificate, 0o644);
    fetched.push(`${plan.name}: ${reason}`);
  }
  await rotation.done();
  return fetched;
}

interface PlanPlace {
  readonly folder: string;
  readonly node: Pick<NodeIdentity, 'name'>;
  readonly ips: readonly string[];
}

function planOf(purpose: CertificatePurpose, { folder, node, ips }: PlanPlace): LeafPlan {
  return {
    ...contentFor(purpose, node.name, ips),
    authority: authorityFor(purpose),
    certFile: path.join(folder, `${files[purpose]}.crt`),
    keyFile: path.join(folder, `${files[purpose]}.key`),
  };
}

/** A server that signs something else than what was asked for is broken or worse: nothing of it is kept. */
function checkIssued(plan: LeafPlan, issued: IssuedCertificate, nowMs: number): void {
  let wrong: string | undefined;
  try {
    const authority = plan.authority === 'server' ? issued.serverAuthority : issued.clientAuthority;
    wrong = renewalReason(plan, new X509Certificate(issued.certificate), new X509Certificate(authority), nowMs);
  } catch (error) {
    wrong = `it cannot be read: ${String(error)}`;
  }
  if (wrong !== undefined) {
    throw new StartupError('ERR_JOIN', `the server signed another ${plan.name} than was asked for: ${wrong}`, {});
  }
}
