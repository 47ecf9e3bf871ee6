/**
 * Signs what a joining node asks for, and nothing else. Which names a certificate carries is decided
 * here, from the purpose and the node's proven name; a request that asks for other names is refused
 * rather than corrected, because whoever sent it is mistaken or worse.
 */
import { StartupError } from '../../error/startup-error.ts';
import type { LeafContent, ReadRequest, Signer } from '../certificate-maker.ts';
import { vipUser } from '../certificate-plan.ts';
import type { CertificatePurpose, CertificateRequest } from './wire.ts';

export interface CheckOptions {
  readonly request: CertificateRequest;
  readonly nodeName: string;
}

/** A request that asks for nothing but what this node may have, if it is that node. */
export interface CheckedRequest {
  readonly purpose: CertificatePurpose;
  readonly content: LeafContent;
  readonly publicKey: ReadRequest['publicKey'];
}

/** @throws StartupError ERR_JOIN_REFUSED that says what is wrong with the request */
export async function checkRequest({ request, nodeName }: CheckOptions): Promise<CheckedRequest> {
  const make = await import('../certificate-maker.ts');
  const { purpose, ips, csr } = request;
  const content = contentFor(purpose, nodeName, ips);
  const read = await make.readRequest(csr).catch((error: unknown) => {
    throw refused('the request to sign cannot be read', error);
  });
  if (read === undefined) {
    throw refused('the request to sign is not signed with its own key, or the key is not of the kind P-256');
  }
  checkSubject(read, content);
  return { purpose, content, publicKey: read.publicKey };
}

/** Signs for clients and for servers. */
export interface Signers {
  readonly client: Signer;
  readonly server: Signer;
}

/** Whether the sender is the node is known by now. @returns the certificate, PEM */
export async function issue(
  { purpose, content, publicKey }: CheckedRequest,
  signers: Signers,
  nowMs: number,
): Promise<string> {
  const make = await import('../certificate-maker.ts');
  return make.makeLeafFor(content, publicKey, signers[authorityFor(purpose)], nowMs);
}

/** What a certificate for this purpose says. Source of the names: Kubernetes, "Using Node Authorization". */
export function subjectFor(
  purpose: CertificatePurpose,
  nodeName: string,
): { readonly commonName: string; readonly organization?: string } {
  switch (purpose) {
    case 'kubelet-client':
      return { commonName: `system:node:${nodeName}`, organization: 'system:nodes' };
    case 'kubelet-serving':
      return { commonName: nodeName };
    case 'kube-proxy':
      return { commonName: 'system:kube-proxy' };
    case 'coredns':
      return { commonName: 'system:coredns' };
    case 'vip':
      return { commonName: vipUser };
  }
}

/** Who signs it, and what the key may be used as. */
export const authorityFor = (purpose: CertificatePurpose): 'server' | 'client' =>
  purpose === 'kubelet-serving' ? 'server' : 'client';

/** All that a certificate for this purpose says: what a server signs, and what the node has to find in it. */
export function contentFor(purpose: CertificatePurpose, nodeName: string, ips: readonly string[]): LeafContent {
  const isServing = purpose === 'kubelet-serving';
  return {
    ...subjectFor(purpose, nodeName),
    name: `${purpose} certificate`,
    usages: [authorityFor(purpose)],
    dnsNames: isServing ? [...new Set(['localhost', nodeName])] : [],
    ips: isServing ? [...new Set(['127.0.0.1', ...ips])] : [],
  };
}

function checkSubject(read: ReadRequest, { commonName, organization }: LeafContent): void {
  const wanted = organization === undefined ? [] : [organization];
  const asked = [...read.commonNames.map((name) => `CN=${name}`), ...read.organizations.map((name) => `O=${name}`)];
  const isSame =
    read.otherNames.length === 0 &&
    read.commonNames.join('\n') === commonName &&
    read.organizations.join('\n') === wanted.join('\n');
  if (isSame) return;
  const may = [`CN=${commonName}`, ...wanted.map((name) => `O=${name}`)].join(', ');
  throw refused(`it asks for ${[...asked, ...read.otherNames].join(', ') || 'no name'}, and may have ${may} only`);
}

function refused(why: string, cause?: unknown): StartupError {
  const options = cause === undefined ? undefined : { cause };
  return new StartupError('ERR_JOIN_REFUSED', `the certificate is refused: ${why}`, { why }, options);
}
