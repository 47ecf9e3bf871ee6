/**
 * Is what is stored still good? Reads key and certificate of one plan entry and says `good`,
 * `renew` with the reason, or throws for what must not be overwritten silently. Only Node's own
 * crypto: a start that finds everything good never loads the certificate maker.
 */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { StartupError } from '../error/startup-error.ts';
import type { AuthorityPlan, LeafPlan } from './certificate-plan.ts';
import { readIfThere } from './stored-file.ts';

const dayMs = 86_400_000;
/** Certificates are renewed when less than this is left. Source: K3s renews within 90 days of 365 (since v1.33). */
const renewBeforeMs = 90 * dayMs;
/** Authorities are renewed when less than this is left: what they sign must not outlive them (365 days). */
const renewAuthorityBeforeMs = 365 * dayMs;

export interface StoredPair {
  readonly key: KeyObject | undefined;
  readonly certificate: X509Certificate | undefined;
}

/** @throws StartupError ERR_CERTIFICATE when a file is there but broken, or the two do not belong together */
export async function readPair(name: string, files: { certFile: string; keyFile: string }): Promise<StoredPair> {
  const [certText, keyText] = await Promise.all([readFile(files.certFile), readFile(files.keyFile)]);
  const certificate = certText === undefined ? undefined : parse(files.certFile, () => new X509Certificate(certText));
  const key = keyText === undefined ? undefined : parse(files.keyFile, () => createPrivateKey(keyText));
  if (certificate !== undefined && key !== undefined && !certificate.checkPrivateKey(key)) {
    throw certificateError(files.certFile, `the ${name} certificate does not belong to the key in ${files.keyFile}`);
  }
  return { key, certificate };
}

async function readFile(file: string): Promise<string | undefined> {
  try {
    return await readIfThere(file);
  } catch (error) {
    throw certificateError(file, 'it cannot be read', {
      cause: error,
      remedy: 'Give it back to the user that runs k3s-lite, mode 0600.',
    });
  }
}

/** Reads a key that has no certificate (the service-account key). */
export async function readKey(file: string): Promise<KeyObject | undefined> {
  const text = await readFile(file);
  return text === undefined ? undefined : parse(file, () => createPrivateKey(text));
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
  if (leftMs >= renewAuthorityBeforeMs) return undefined;
  const isExpired = leftMs <= 0;
  if (isOwn(plan, certificate) && stored.key !== undefined) {
    return isExpired ? `it expired on ${certificate.validTo}` : `it expires on ${certificate.validTo}`;
  }
  if (!isExpired) return undefined;
  throw certificateError(plan.certFile, `the authority expired on ${certificate.validTo}`, {
    remedy:
      stored.key === undefined
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
  if (leftMs < renewBeforeMs) return leftMs <= 0 ? 'it has expired' : `it expires on ${certificate.validTo}`;
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
