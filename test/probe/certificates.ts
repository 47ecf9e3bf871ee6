/** A certificate authority for a test, and what it signs, as PEM files. */
import { webcrypto } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const hourMs = 3_600_000;

export interface Files {
  readonly cert: string;
  readonly key: string;
}

export async function authority(folder: string, name: string) {
  x509.cryptoProvider.set(webcrypto);
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const own = await x509.X509CertificateGenerator.createSelfSigned({
    ...{ name: `CN=${name}`, keys, signingAlgorithm: algorithm, serialNumber: '01' },
    notBefore: new Date(Date.now() - hourMs),
    notAfter: new Date(Date.now() + hourMs),
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  const ca = join(folder, `${name}-ca.crt`);
  writeFileSync(ca, own.toString('pem'));
  let serial = 1;
  return {
    ca,
    async sign(common: string, options: { readonly dns?: string; readonly expired?: boolean } = {}): Promise<Files> {
      const pair = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
      serial += 1;
      const leaf = await x509.X509CertificateGenerator.create({
        ...{ subject: `CN=${common}`, issuer: own.subject, signingKey: keys.privateKey, publicKey: pair.publicKey },
        ...{ signingAlgorithm: algorithm, serialNumber: serial.toString(16).padStart(2, '0') },
        notBefore: new Date(Date.now() - 2 * hourMs),
        notAfter: new Date(Date.now() + (options.expired === true ? -hourMs : hourMs)),
        extensions: [
          new x509.SubjectAlternativeNameExtension([
            options.dns === undefined ? { type: 'ip', value: '127.0.0.1' } : { type: 'dns', value: options.dns },
          ]),
        ],
      });
      const files = { cert: join(folder, `${common}.crt`), key: join(folder, `${common}.key`) };
      writeFileSync(files.cert, leaf.toString('pem'));
      const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', pair.privateKey)).toString('base64');
      writeFileSync(files.key, `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`);
      return files;
    },
  };
}
