import { X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import * as maker from '../../../src/cluster/certificate-maker.ts';
import { checkRequest, issue, subjectFor } from '../../../src/cluster/join/issue.ts';
import { certificatePurpose, type CertificatePurpose } from '../../../src/cluster/join/wire.ts';

const nowMs = Date.now();
let signers: { client: maker.Signer; server: maker.Signer };
let key: string;

beforeAll(async () => {
  const authority = async (commonName: string) => {
    const keyPem = await maker.makeEcdsaKey();
    const plan = { name: 'server', certFile: '', keyFile: '', commonName } as const;
    return maker.loadSigner(await maker.makeAuthority(plan, keyPem, nowMs), keyPem);
  };
  signers = { client: await authority('client-ca'), server: await authority('server-ca') };
  key = await maker.makeEcdsaKey();
});

const ask = async (
  purpose: CertificatePurpose,
  subject: Parameters<typeof maker.makeRequest>[0],
  ips: string[] = [],
) => {
  const csr = await maker.makeRequest(subject, key);
  return issue(await checkRequest({ request: { purpose, csr, ips }, nodeName: 'w1' }), signers, nowMs);
};

describe('[H5] a joining node gets a certificate', () => {
  test.each(certificatePurpose.options)('for %s, with the names that it may have and its own key', async (purpose) => {
    const subject = subjectFor(purpose, 'w1');
    const certificate = new X509Certificate(await ask(purpose, subject, ['192.0.2.9']));
    const authority = purpose === 'kubelet-serving' ? signers.server : signers.client;
    expect(certificate.verify(new X509Certificate(authority.certificate.toString('pem')).publicKey)).toBe(true);
    expect(certificate.subject.split('\n').sort()).toEqual(
      [...(subject.organization === undefined ? [] : [`O=${subject.organization}`]), `CN=${subject.commonName}`].sort(),
    );
    expect(certificate.ca).toBe(false);
    expect(certificate.subjectAltName ?? '').toBe(
      purpose === 'kubelet-serving' ? 'DNS:localhost, DNS:w1, IP Address:127.0.0.1, IP Address:192.0.2.9' : '',
    );
  });

  test.each([
    ['another node', 'kubelet-client', { commonName: 'system:node:w2', organization: 'system:nodes' }],
    ['the administrators', 'kubelet-client', { commonName: 'system:node:w1', organization: 'system:masters' }],
    ['no group', 'kubelet-client', { commonName: 'system:node:w1' }],
    ['a group besides', 'kube-proxy', { commonName: 'system:kube-proxy', organization: 'system:masters' }],
    ['another component', 'coredns', { commonName: 'system:kube-controller-manager' }],
    ['another server', 'kubelet-serving', { commonName: 'kube-apiserver' }],
  ] as const)('never one that names %s', async (_, purpose, subject) => {
    await expect(ask(purpose, subject)).rejects.toMatchObject({
      code: 'ERR_JOIN_REFUSED',
      message: expect.stringContaining(subject.commonName) as string,
    });
  });

  test('never for a request that is broken or signed with another key', async () => {
    const csr = await maker.makeRequest(subjectFor('coredns', 'w1'), key);
    const der = Buffer.from(csr.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
    der[der.length - 1] = (der.at(-1) ?? 0) ^ 1;
    const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
    for (const text of [forged, 'nothing', csr.slice(0, 200)]) {
      const request = { purpose: 'coredns' as const, csr: text, ips: [] };
      await expect(checkRequest({ request, nodeName: 'w1' })).rejects.toMatchObject({
        code: 'ERR_JOIN_REFUSED',
      });
    }
  });
});
