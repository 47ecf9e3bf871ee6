/**
 * Is what is stored still good? Reads key and certificate of one plan entry and says `good`,
 * `renew` with the reason, or throws for what must not be overwritten silently. Only Node's own
 * crypto: a start that finds everything good never loads the certificate maker.
 */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { StartupError } from '../error/startup-error.ts';
import type { AuthorityPlan, LeafPlan } from './certificate-plan.ts';
import { readIfThere } from './stored-file.ts';

/** Certificates are renewed when less than this is left. Source: K3s renews within 90 days of 365 (since v1.33). */
export const renewBeforeMs = 90 * 86_400_000;

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

/** @throws StartupError ERR_CERTIFICATE when the authority is no authority or has expired: replacing it would cut off every node */
export function checkAuthority(plan: AuthorityPlan, certificate: X509Certificate, nowMs: number): void {
  const remedy =
    'Put the right authority back from a backup. Removing all of the tls folders makes a new cluster identity: every node and kubeconfig must then be made again.';
  if (!certificate.ca) throw certificateError(plan.certFile, 'it is not the certificate of an authority', { remedy });
  if (Date.parse(certificate.validTo) <= nowMs) {
    throw certificateError(plan.certFile, `the authority expired on ${certificate.validTo}`, { remedy });
  }
}

/** Why the stored certificate cannot stay, or undefined when it can. */
export function renewalReason(
  plan: LeafPlan,
  certificate: X509Certificate,
  authority: X509Certificate,
  nowMs: number,
): string | undefined {
  const leftMs = Date.parse(certificate.validTo) - nowMs;
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
