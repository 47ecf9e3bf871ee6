/**
 * Signs what a joining node asks for, and nothing else. Which names a certificate carries is decided
 * here, from the purpose and the node's proven name; a request that asks for other names is refused
 * rather than corrected, because whoever sent it is mistaken or worse.
 */
import { StartupError } from '../../error/startup-error.ts';
import type { LeafContent, ReadRequest, Signer } from '../certificate-maker.ts';
import type { CertificatePurpose, CertificateRequest } from './wire.ts';

export interface IssueOptions {
  readonly request: CertificateRequest;
  /** As its password has proven. */
  readonly nodeName: string;
  /** Signs for clients and for servers. */
  readonly signers: { readonly client: Signer; readonly server: Signer };
  readonly nowMs: number;
}

/**
 * @returns the certificate, PEM
 * @throws StartupError ERR_JOIN_REFUSED that says what is wrong with the request
 */
export async function issue({ request, nodeName, signers, nowMs }: IssueOptions): Promise<string> {
  const make = await import('../certificate-maker.ts');
  const { content, signer } = contentOf(request, nodeName);
  const read = await make.readRequest(request.csr).catch((error: unknown) => {
    throw refused('the request to sign cannot be read', error);
  });
  if (read === undefined) {
    throw refused('the request to sign is not signed with its own key, or the key is not of the kind P-256');
  }
  checkSubject(read, content);
  return make.makeLeafFor(content, read.publicKey, signers[signer], nowMs);
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
  }
}

function contentOf({ purpose, ips }: CertificateRequest, nodeName: string) {
  const isServing = purpose === 'kubelet-serving';
  const content: LeafContent = {
    ...subjectFor(purpose, nodeName),
    name: purpose,
    usages: [isServing ? 'server' : 'client'],
    dnsNames: isServing ? ['localhost', nodeName] : [],
    ips: isServing ? [...new Set(['127.0.0.1', ...ips])] : [],
  };
  return { content, signer: isServing ? ('server' as const) : ('client' as const) };
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
