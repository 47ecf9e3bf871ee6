/**
 * Makes keys and certificates with @peculiar/x509 on WebCrypto. Loaded only when something has to
 * be made: the import alone costs 0.1 s.
 */
import 'reflect-metadata'; // @peculiar/x509 wants it loaded first
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { AuthorityPlan, LeafPlan } from './certificate-plan.ts';

type CryptoKey = webcrypto.CryptoKey;

x509.cryptoProvider.set(webcrypto);

const ecdsa = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
/** Source: K3s, 10 years for authorities and 365 days for the rest. */
const authorityDays = 3650;
const leafDays = 365;
const dayMs = 86_400_000;
/** Clocks of nodes differ a little: certificates begin before they are made. */
const clockSkewMs = 3_600_000;

export interface Signer {
  readonly certificate: x509.X509Certificate;
  readonly key: CryptoKey;
}

/** A new ECDSA P-256 key as PKCS #8 PEM. */
export async function makeEcdsaKey(): Promise<string> {
  const pair = await webcrypto.subtle.generateKey(ecdsa, true, ['sign', 'verify']);
  return exportKey(pair.privateKey);
}

/** A new RSA 2048 key as PKCS #8 PEM: verifiers of service-account tokens outside know RS256 best. */
export async function makeRsaKey(): Promise<string> {
  const pair = await webcrypto.subtle.generateKey(
    { name: 'RSASSA-PKCS1-v1_5', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' },
    true,
    ['sign', 'verify'],
  );
  return exportKey(pair.privateKey);
}

async function exportKey(key: CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY') + '\n';
}

/** Private and public half of a stored ECDSA key. */
async function importPair(pem: string): Promise<{ privateKey: CryptoKey; publicKey: CryptoKey }> {
  const [pkcs8] = x509.PemConverter.decode(pem);
  const privateKey = await webcrypto.subtle.importKey('pkcs8', pkcs8 as ArrayBuffer, ecdsa, true, ['sign']);
  const { kty, crv, x, y } = await webcrypto.subtle.exportKey('jwk', privateKey);
  const half = { kty, crv, x, y } as webcrypto.JsonWebKey;
  return { privateKey, publicKey: await webcrypto.subtle.importKey('jwk', half, ecdsa, true, ['verify']) };
}

/** @param fromMs - its beginning, for one that is renewed: a clock that was wrong when that happened does no harm then */
export async function makeAuthority(
  plan: AuthorityPlan,
  keyPem: string,
  nowMs: number,
  fromMs: number = nowMs - clockSkewMs,
): Promise<string> {
  const { privateKey, publicKey } = await importPair(keyPem);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [plan.commonName] }],
    notBefore: new Date(fromMs),
    notAfter: new Date(nowMs + authorityDays * dayMs),
    signingAlgorithm: ecdsa,
    keys: { privateKey, publicKey },
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
  return certificate.toString('pem') + '\n';
}

export async function loadSigner(certificatePem: string, keyPem: string): Promise<Signer> {
  return { certificate: new x509.X509Certificate(certificatePem), key: (await importPair(keyPem)).privateKey };
}

/** What a certificate says, apart from where it lies. */
export type LeafContent = Omit<LeafPlan, 'certFile' | 'keyFile' | 'authority'>;

export async function makeLeaf(plan: LeafContent, keyPem: string, signer: Signer, nowMs: number): Promise<string> {
  return makeLeafFor(plan, (await importPair(keyPem)).publicKey, signer, nowMs);
}

/** For a key of somebody else's, who asked for it by {@link readRequest}. */
export async function makeLeafFor(
  plan: LeafContent,
  publicKey: CryptoKey,
  signer: Signer,
  nowMs: number,
): Promise<string> {
  const names: x509.JsonGeneralName[] = [
    ...plan.dnsNames.map((value) => ({ type: 'dns' as const, value })),
    ...plan.ips.map((value) => ({ type: 'ip' as const, value })),
  ];
  const usage = { server: x509.ExtendedKeyUsage.serverAuth, client: x509.ExtendedKeyUsage.clientAuth };
  const certificate = await x509.X509CertificateGenerator.create({
    subject: subjectOf(plan),
    issuer: signer.certificate.subject,
    notBefore: new Date(nowMs - clockSkewMs),
    // An authority of somebody else's may end earlier, and with it what it has signed.
    notAfter: new Date(Math.min(nowMs + leafDays * dayMs, signer.certificate.notAfter.getTime())),
    signingAlgorithm: ecdsa,
    publicKey,
    signingKey: signer.key,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(plan.usages.map((name) => usage[name])),
      ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
      await x509.AuthorityKeyIdentifierExtension.create(signer.certificate),
    ],
  });
  return certificate.toString('pem') + '\n';
}

function subjectOf({ commonName, organization }: Pick<LeafPlan, 'commonName' | 'organization'>): x509.JsonName {
  return [...(organization === undefined ? [] : [{ O: [organization] }]), { CN: [commonName] }];
}

/** A request to sign (PKCS #10), PEM. */
export async function makeRequest(
  { commonName, organization }: Pick<LeafPlan, 'commonName' | 'organization'>,
  keyPem: string,
): Promise<string> {
  const { privateKey, publicKey } = await importPair(keyPem);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: subjectOf({ commonName, ...(organization === undefined ? {} : { organization }) }),
    keys: { privateKey, publicKey },
    signingAlgorithm: ecdsa,
  });
  return request.toString('pem') + '\n';
}

export interface ReadRequest {
  readonly publicKey: CryptoKey;
  readonly commonNames: readonly string[];
  readonly organizations: readonly string[];
  /** Kinds of names in its subject besides those two, as OIDs or short names. */
  readonly otherNames: readonly string[];
}

/** @throws an error of the library when it is no request, undefined when its signature is not by its own key or the key is no P-256 */
export async function readRequest(pem: string): Promise<ReadRequest | undefined> {
  const request = new x509.Pkcs10CertificateRequest(pem);
  // The library means the CryptoKey of browsers, whose types are not loaded.
  const exported: unknown = await request.publicKey.export(ecdsa, ['verify']).catch(() => undefined);
  const publicKey = exported as CryptoKey | undefined;
  if (publicKey === undefined || !(await request.verify())) return undefined;
  const names = request.subjectName.toJSON().flatMap((part) => Object.entries(part));
  const all = (kind: string) => names.flatMap(([name, values]) => (name === kind ? values : []));
  return {
    publicKey,
    commonNames: all('CN'),
    organizations: all('O'),
    otherNames: names.map(([name]) => name).filter((name) => name !== 'CN' && name !== 'O'),
  };
}
