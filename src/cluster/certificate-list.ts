/**
 * The certificates in a data directory, whichever role it has and whoever has put them there: what
 * `certificate check` shows, and what a running k3s-lite looks at to renew them in time.
 */
import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { renewalDueMs } from './certificate-check.ts';
import { serviceOf } from './certificate-services.ts';
import type { Layout } from './layout.ts';
import { messageOf } from '../kernel/message-of.ts';

export interface ListedCertificate {
  readonly file: string;
  /** Whose it is; of an authority "authority". */
  readonly service: string;
  /** CN of its subject. */
  readonly name: string;
  readonly isAuthority: boolean;
  readonly beginsMs: number;
  readonly endsMs: number;
  /** Tells it from the one before, hexadecimal. */
  readonly serial: string;
  /** As a start would renew it. */
  readonly isDue: boolean;
}

export interface CertificateListing {
  readonly certificates: readonly ListedCertificate[];
  /** Files that are no certificates, with why. */
  readonly broken: readonly { readonly file: string; readonly reason: string }[];
}

export function listCertificates(
  { serverTls, agentTls }: Pick<Layout, 'serverTls' | 'agentTls'>,
  nowMs: number,
): CertificateListing {
  const certificates: ListedCertificate[] = [];
  const broken: { file: string; reason: string }[] = [];
  const seen = new Set<string>();
  for (const folder of [serverTls, path.join(serverTls, 'etcd'), agentTls]) {
    for (const file of filesIn(folder)) {
      try {
        const certificate = new X509Certificate(readFileSync(file));
        // A node has copies of the authorities.
        if (certificate.ca && seen.has(certificate.fingerprint256)) continue;
        seen.add(certificate.fingerprint256);
        certificates.push(listed(file, certificate, nowMs));
      } catch (error) {
        broken.push({ file, reason: messageOf(error) });
      }
    }
  }
  return { certificates, broken };
}

function listed(file: string, certificate: X509Certificate, nowMs: number): ListedCertificate {
  return {
    file,
    service: certificate.ca ? 'authority' : serviceOf(file),
    name: /^CN=(.*)$/m.exec(certificate.subject)?.[1] ?? certificate.subject,
    isAuthority: certificate.ca,
    beginsMs: Date.parse(certificate.validFrom),
    endsMs: Date.parse(certificate.validTo),
    serial: certificate.serialNumber,
    isDue: renewalDueMs(certificate) <= nowMs,
  };
}

function filesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.crt'))
      .sort()
      .map((name) => path.join(folder, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
