/**
 * Is what is stored still good? Reads key and certificate of one plan entry and says `good`,
 * `renew` with the reason, or throws for what must not be overwritten silently. Only Node's own
 * crypto: a start that finds everything good never loads the certificate maker.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { StartupError } from '../error/startup-error.ts';
import type { AuthorityPlan, LeafPlan } from './certificate-plan.ts';

const dayMs = 86_400_000;
/** Certificates are renewed when less than this is left. Source: K3s renews within 90 days of 365 (since v1.33). */
const renewBeforeMs = 90 * dayMs;
/** Authorities are renewed when less than this is left: what they sign must not outlive them (365 days). */
const renewAuthorityBeforeMs = 365 * dayMs;

export interface StoredPair {
  /** PKCS #8. */
  readonly keyPem: string | undefined;
  readonly certificate: X509Certificate | undefined;
}

/** @throws StartupError ERR_CERTIFICATE when a file is there but broken, or the two do not belong together */
export function readPair(name: string, files: { certFile: string; keyFile: string }): StoredPair {
  const [certText, keyText] = [readFile(files.certFile), readFile(files.keyFile)];
  const certificate = certText === undefined ? undefined : parse(files.certFile, () => new X509Certificate(certText));
  if (keyText === undefined || (certificate !== undefined && isOwnPair(keyText, certificate))) {
    return { keyPem: keyText, certificate };
  }
  const key = parse(files.keyFile, () => createPrivateKey(keyText));
  if (certificate !== undefined && !certificate.checkPrivateKey(key)) {
    throw certificateError(files.certFile, `the ${name} certificate does not belong to the key in ${files.keyFile}`);
  }
  return { keyPem: key.export({ type: 'pkcs8', format: 'pem' }) as string, certificate };
}

/** What stands before the public half in a P-256 key of the form that we write. Source: RFC 5958, RFC 5915. */
const beforePoint = Buffer.from('a144034200', 'hex');
const pointBytes = 65;

/**
 * True when the key is of the form that we write and its public half stands in the certificate. This
 * costs 1 % of what reading the key does, and a start has two dozen of them before its first process.
 */
function isOwnPair(keyText: string, certificate: X509Certificate): boolean {
  const base64 = /^-----BEGIN PRIVATE KEY-----\n([A-Za-z0-9+/=\n]+)-----END PRIVATE KEY-----\n?$/.exec(keyText)?.[1];
  if (base64 === undefined) return false;
  const der = Buffer.from(base64, 'base64');
  const point = der.subarray(-pointBytes);
  const before = der.subarray(-pointBytes - beforePoint.length, -pointBytes);
  return before.equals(beforePoint) && certificate.raw.includes(point);
}

/** Read in this turn: dozens of small files, each of which would take longer on its way through the thread pool. */
function readFile(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw certificateError(file, 'it cannot be read', {
      cause: error,
      remedy: 'Give it back to the user that runs k3s-lite, mode 0600.',
    });
  }
}

/** Is there a key that can be read (the service-account key, which has no certificate)? */
export function hasKey(file: string): boolean {
  const text = readFile(file);
  if (text !== undefined) parse(file, () => createPrivateKey(text));
  return text !== undefined;
}

function parse<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw certificateError(file, 'it is not a PEM file that can be read', { cause: error });
  }
}

/**
 * Why an authority must be renewed, or undefined when it can stay. Renewed with its own key it is the
 * same authority: whatever it has signed stays good, and who holds its old certificate can use that to
 * its end. So it is done a year before, when nobody is cut off yet, and only to those that we made.
 *
 * @throws StartupError ERR_CERTIFICATE when it is no authority, has not begun yet, or has expired and is not ours to renew
 */
export function authorityRenewal(plan: AuthorityPlan, stored: StoredPair, nowMs: number): string | undefined {
  const { certificate } = stored;
  if (certificate === undefined) return undefined;
  if (!certificate.ca) {
    throw certificateError(plan.certFile, 'it is not the certificate of an authority', { remedy: newIdentity });
  }
  if (nowMs < Date.parse(certificate.validFrom)) {
    throw certificateError(
      plan.certFile,
      `the authority begins on ${certificate.validFrom}, and this machine’s clock says ${new Date(nowMs).toISOString()}`,
      { remedy: 'Set the clock: the next attempt then finds the authority good.' },
    );
  }
  const leftMs = Date.parse(certificate.validTo) - nowMs;
  if (nowMs <= renewalDueMs(certificate)) return undefined;
  const isExpired = leftMs <= 0;
  if (isOwn(plan, certificate) && stored.keyPem !== undefined) {
    return isExpired ? `it expired on ${certificate.validTo}` : `it expires on ${certificate.validTo}`;
  }
  if (!isExpired) return undefined;
  throw certificateError(plan.certFile, `the authority expired on ${certificate.validTo}`, {
    remedy:
      stored.keyPem === undefined
        ? `Put its key back as ${plan.keyFile}: it is then renewed. ${newIdentity}`
        : `It was made by somebody else (${certificate.issuer.replaceAll('\n', ', ')}): have it renewed there, with the same key. ${newIdentity}`,
  });
}

const newIdentity =
  'Removing all of the tls folders instead makes a new cluster identity: every node and kubeconfig must then be made again.';

const isOwn = ({ commonName }: AuthorityPlan, certificate: X509Certificate): boolean =>
  certificate.subject === `CN=${commonName}` &&
  certificate.checkIssued(certificate) &&
  certificate.verify(certificate.publicKey);

/** From when on a certificate is renewed; wall clock, ms. */
export function renewalDueMs({ validTo, ca }: X509Certificate): number {
  return Date.parse(validTo) - (ca ? renewAuthorityBeforeMs : renewBeforeMs);
}

/** Why the stored certificate cannot stay, or undefined when it can. */
export function renewalReason(
  plan: LeafPlan,
  certificate: X509Certificate,
  authority: X509Certificate,
  nowMs: number,
): string | undefined {
  const leftMs = Date.parse(certificate.validTo) - nowMs;
  // Made while the clock was wrong.
  if (Date.parse(certificate.validFrom) > nowMs) return `it begins on ${certificate.validFrom}`;
  if (nowMs > renewalDueMs(certificate)) return leftMs <= 0 ? 'it has expired' : `it expires on ${certificate.validTo}`;
  if (!certificate.checkIssued(authority) || !certificate.verify(authority.publicKey))
    return 'its authority has changed';
  const subject = certificate.subject.split('\n').sort().join(' ');
  const wantedSubject = [
    ...(plan.organization === undefined ? [] : [`O=${plan.organization}`]),
    `CN=${plan.commonName}`,
  ];
  if (subject !== wantedSubject.sort().join(' ')) return `its subject is ${subject}`;
  const names = alternativeNames(certificate);
  const wanted = [...plan.dnsNames.map((name) => `DNS:${name}`), ...plan.ips.map((ip) => `IP Address:${ip}`)].sort();
  return names.join() === wanted.join() ? undefined : `its names are ${names.join(', ')}`;
}

const alternativeNames = (certificate: X509Certificate): string[] =>
  (certificate.subjectAltName ?? '')
    .split(', ')
    .filter((name) => name !== '')
    .sort();

export function certificateError(
  file: string,
  problem: string,
  {
    cause,
    remedy = `Remove the broken pair (${file.replace(/\.(crt|key)$/, '.{crt,key}')}): it is made again at the next start.`,
  }: {
    cause?: unknown;
    remedy?: string;
  } = {},
): StartupError {
  return new StartupError(
    'ERR_CERTIFICATE',
    `cannot use ${file}: ${problem}`,
    { file, hint: remedy },
    cause === undefined ? undefined : { cause },
  );
}
