import { X509Certificate } from 'node:crypto';
import { readFileSync, readdirSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { certificatePlan } from '../../src/cluster/certificate-plan.ts';
import { makeAuthority } from '../../src/cluster/certificate-maker.ts';
import { askForRotation, readRotation } from '../../src/cluster/certificate-rotation.ts';
import { serviceOf } from '../../src/cluster/certificate-services.ts';
import { ensureCertificates } from '../../src/cluster/certificates.ts';
import { layoutOf } from '../../src/cluster/layout.ts';
import type { Settings } from '../../src/cluster/settings.ts';
import { StartupError } from '../../src/error/startup-error.ts';
import type { Clock } from '../../src/kernel/clock.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { settingsIn, temporaryFolder } from './settings-kit.ts';

const dayMs = 86_400_000;
const inDays = (days: number): Clock => ({ ...systemClock, wallMs: () => Date.now() + days * dayMs });
const tls = (settings: Settings, file: string) => path.join(settings.dataDir, 'server/tls', file);

async function fresh(): Promise<Settings> {
  const settings = settingsIn(temporaryFolder());
  await ensureCertificates(settings, systemClock);
  return settings;
}

/** Every file below a folder with its content, to see what a call has changed. */
function contents(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files.map((entry) => [
      path.join(entry.parentPath, entry.name),
      readFileSync(path.join(entry.parentPath, entry.name), 'utf8'),
    ]),
  );
}

/** Server and client shake hands with the stored files; resolves with the client's name as the server saw it. */
async function handshake(settings: Settings, clientFile: string): Promise<string> {
  const read = (file: string) => readFileSync(tls(settings, file));
  const server = createServer({
    cert: read('serving-kube-apiserver.crt'),
    key: read('serving-kube-apiserver.key'),
    ca: read('client-ca.crt'),
    requestCert: true,
    rejectUnauthorized: true,
  });
  onTestFinished(() => void server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = new Promise<TLSSocket>((resolve, reject) => {
    server.once('secureConnection', resolve).once('tlsClientError', reject);
  });
  const client = connect({
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    servername: 'kubernetes.default.svc',
    ca: read('server-ca.crt'),
    cert: read(`${clientFile}.crt`),
    key: read(`${clientFile}.key`),
  });
  onTestFinished(() => void client.destroy());
  client.on('error', () => undefined); // told by the server, too
  const { subject } = (await accepted).getPeerCertificate();
  return `${String(subject.O)}/${String(subject.CN)}`;
}

describe('made from nothing', () => {
  test('server and client authenticate each other over TLS', async () => {
    expect(await handshake(await fresh(), 'client-admin')).toBe('system:masters/system:admin');
  });

  test('a server’s certificate does not pass as a client', async () => {
    const settings = await fresh();
    await expect(handshake(settings, 'serving-kube-scheduler')).rejects.toThrow();
  });

  test('every certificate comes from its authority, fits its key, and no other authority vouches for it', async () => {
    const settings = await fresh();
    const plan = certificatePlan(settings);
    const authorities = plan.authorities.map(({ name, certFile }) => ({
      name,
      certificate: new X509Certificate(readFileSync(certFile)),
    }));
    for (const leaf of plan.leaves) {
      const certificate = new X509Certificate(readFileSync(leaf.certFile));
      const issuers = authorities
        .filter((one) => certificate.verify(one.certificate.publicKey))
        .map(({ name }) => name);
      expect(issuers, leaf.name).toEqual([leaf.authority]);
    }
  });

  test('the API server is known by its service name, its service address and the names asked for', async () => {
    const settings = settingsIn(temporaryFolder(), { tlsSan: ['api.example', '203.0.113.5'] });
    await ensureCertificates(settings, systemClock);
    const certificate = new X509Certificate(readFileSync(tls(settings, 'serving-kube-apiserver.crt')));
    expect(certificate.checkHost('api.example')).toBe('api.example');
    expect(certificate.checkHost('kubernetes.default.svc.cluster.local')).toBeDefined();
    for (const ip of ['203.0.113.5', '10.43.0.1', '127.0.0.1', '192.0.2.10']) expect(certificate.checkIP(ip)).toBe(ip);
  });

  test('keys are readable by their owner alone', async () => {
    const settings = await fresh();
    const keys = [...contents(settings.dataDir).keys()].filter((file) => file.endsWith('.key'));
    expect(keys.length).toBeGreaterThan(15);
    for (const key of keys) expect(statSync(key).mode & 0o777, key).toBe(0o600);
    expect(statSync(tls(settings, '')).mode & 0o777).toBe(0o700);
  });
});

describe('made before', () => {
  test('nothing is written again while all is good', async () => {
    const settings = await fresh();
    const before = contents(settings.dataDir);
    expect((await ensureCertificates(settings, systemClock)).made).toEqual([]);
    expect((await ensureCertificates(settings, inDays(270))).made).toEqual([]);
    expect(contents(settings.dataDir)).toEqual(before);
  });

  test('less than 90 days before the end certificates are renewed, keys and authorities stay', async () => {
    const settings = await fresh();
    const before = contents(settings.dataDir);
    const { made } = await ensureCertificates(settings, inDays(280));
    expect(made).toHaveLength(certificatePlan(settings).leaves.length);
    expect(made.join()).toContain('it expires on');
    const changed = [...contents(settings.dataDir)]
      .filter(([file, text]) => before.get(file) !== text)
      .map(([file]) => file);
    const leaves = certificatePlan(settings).leaves.map(({ certFile }) => certFile);
    expect(new Set(changed)).toEqual(new Set([...leaves, tls(settings, 'checked.json')]));
    expect((await ensureCertificates(settings, inDays(280))).made).toEqual([]);
  });

  test('expired ones are renewed, too', async () => {
    const settings = await fresh();
    const { renewed } = await ensureCertificates(settings, inDays(400));
    expect(renewed.authorities).toEqual([]);
    expect(renewed.leaves).toHaveLength(certificatePlan(settings).leaves.length);
    expect(renewed.leaves.join()).toContain('etcd serving (it has expired)');
    expect((await ensureCertificates(settings, inDays(400))).made).toEqual([]);
  });

  test.each([
    ['in its last year', 3300, 'expires on'],
    ['that has expired', 3700, 'expired on'],
  ])('an authority %s is renewed with its own key: what it has signed stays good', async (_what, days, reason) => {
    const settings = await fresh();
    const [authority] = certificatePlan(settings).authorities;
    if (authority === undefined) throw new Error('no authority');
    const old = new X509Certificate(readFileSync(authority.certFile));
    const signed = new X509Certificate(readFileSync(tls(settings, 'serving-kube-apiserver.crt')));
    const { renewed } = await ensureCertificates(settings, inDays(days));
    expect(renewed.authorities).toHaveLength(4);
    expect(renewed.authorities.join()).toContain(`server (it ${reason}`);
    const renewedOne = new X509Certificate(readFileSync(authority.certFile));
    expect(renewedOne.publicKey.equals(old.publicKey)).toBe(true);
    expect(renewedOne.validFrom).toBe(old.validFrom);
    expect(Date.parse(renewedOne.validTo)).toBeGreaterThan(Date.parse(old.validTo));
    // Both ways: the old signature under the new certificate, a new one under the old.
    expect(signed.checkIssued(renewedOne) && signed.verify(renewedOne.publicKey)).toBe(true);
    const resigned = new X509Certificate(readFileSync(tls(settings, 'serving-kube-apiserver.crt')));
    expect(resigned.checkIssued(old) && resigned.verify(old.publicKey)).toBe(true);
    expect(readFileSync(path.join(settings.dataDir, 'agent/tls/server-ca.crt'))).toEqual(
      readFileSync(authority.certFile),
    );
    expect((await ensureCertificates(settings, inDays(days))).made).toEqual([]);
  });

  test('what a clock that was years ahead has renewed is good again when the clock is right', async () => {
    const settings = await fresh();
    await ensureCertificates(settings, inDays(5000));
    const { renewed } = await ensureCertificates(settings, systemClock);
    expect(renewed.authorities).toEqual([]);
    expect(renewed.leaves.join()).toContain('kube-apiserver serving (it begins on');
    expect(await handshake(settings, 'client-admin')).toBe('system:masters/system:admin');
  });

  test('no certificate outlives the authority that signed it', async () => {
    const settings = await fresh();
    const [server] = certificatePlan(settings).authorities;
    if (server === undefined) throw new Error('no authority');
    const key = readFileSync(server.keyFile, 'utf8');
    const tenYears = 3650 * dayMs;
    const soon = { ...server, commonName: 'Corporate CA' };
    writeFileSync(server.certFile, await makeAuthority(soon, key, Date.now() + 100 * dayMs - tenYears));
    await ensureCertificates(settings, systemClock);
    const [end, certificate] = [server.certFile, tls(settings, 'serving-kube-apiserver.crt')].map((file) =>
      Date.parse(new X509Certificate(readFileSync(file)).validTo),
    );
    expect(certificate).toBe(end);
  });

  test('a new name renews the one certificate that must carry it', async () => {
    const settings = await fresh();
    const { made } = await ensureCertificates({ ...settings, tlsSan: ['api.example'] }, systemClock);
    expect(made).toEqual([expect.stringContaining('kube-apiserver serving certificate: its names are')]);
  });

  test('another node name renews what says the old one', async () => {
    const settings = await fresh();
    const { made } = await ensureCertificates({ ...settings, nodeName: 'other' }, systemClock);
    expect(made.join('\n')).toContain(
      'system:node:other client certificate: its subject is CN=system:node:node1 O=system:nodes',
    );
    expect(made.join('\n')).not.toContain('system:admin');
  });

  test('a certificate whose authority was replaced is made again', async () => {
    const settings = await fresh();
    for (const ending of ['crt', 'key']) unlinkSync(tls(settings, `etcd/ca.${ending}`));
    const { made } = await ensureCertificates(settings, systemClock);
    expect(made).toContain('etcd authority: it was missing');
    expect(made).toContain('etcd serving certificate: its authority has changed');
    expect(made).toHaveLength(4);
  });

  test('a missing certificate is made for the key that is there', async () => {
    const settings = await fresh();
    const key = readFileSync(tls(settings, 'client-admin.key'), 'utf8');
    unlinkSync(tls(settings, 'client-admin.crt'));
    expect((await ensureCertificates(settings, systemClock)).made).toEqual([
      'system:admin client certificate: it was missing',
    ]);
    expect(readFileSync(tls(settings, 'client-admin.key'), 'utf8')).toBe(key);
  });
});

describe('broken', () => {
  const failure = async (settings: Settings, clock: Clock = systemClock): Promise<StartupError> => {
    const outcome: unknown = await ensureCertificates(settings, clock).catch((error: unknown) => error);
    if (outcome instanceof StartupError) return outcome;
    throw new Error(`no such failure: ${JSON.stringify(outcome)}`);
  };

  test('a file that is no PEM is named with its remedy, and nothing is written', async () => {
    const settings = await fresh();
    const file = tls(settings, 'serving-kube-apiserver.crt');
    writeFileSync(file, 'nonsense');
    unlinkSync(tls(settings, 'client-admin.crt'));
    const before = contents(settings.dataDir);
    const { code, message, detail } = await failure(settings);
    expect(code).toBe('ERR_CERTIFICATE');
    expect(message).toContain(file);
    expect(detail['hint']).toContain('serving-kube-apiserver.{crt,key}');
    expect(contents(settings.dataDir)).toEqual(before);
  });

  test('a key that belongs to another certificate is found', async () => {
    const settings = await fresh();
    writeFileSync(tls(settings, 'client-admin.key'), readFileSync(tls(settings, 'client-scheduler.key')));
    expect((await failure(settings)).message).toContain('does not belong to the key');
  });

  test('an expired authority without its key is refused with what to do, and nothing is written', async () => {
    const settings = await fresh();
    unlinkSync(tls(settings, 'client-ca.key'));
    const before = contents(settings.dataDir);
    const { code, message, detail } = await failure(settings, inDays(3700));
    expect(code).toBe('ERR_CERTIFICATE');
    expect(message).toContain(`cannot use ${tls(settings, 'client-ca.crt')}: the authority expired on`);
    expect(detail['hint']).toContain(`Put its key back as ${tls(settings, 'client-ca.key')}`);
    expect(contents(settings.dataDir)).toEqual(before);
  });

  test('an expired authority of somebody else’s is refused: only they can renew it', async () => {
    const settings = await fresh();
    const [server] = certificatePlan(settings).authorities;
    if (server === undefined) throw new Error('no authority');
    const key = readFileSync(server.keyFile, 'utf8');
    writeFileSync(server.certFile, await makeAuthority({ ...server, commonName: 'Corporate CA' }, key, Date.now()));
    await ensureCertificates(settings, systemClock);
    const before = contents(settings.dataDir);
    const { detail } = await failure(settings, inDays(3700));
    expect(detail['hint']).toContain('It was made by somebody else (CN=Corporate CA)');
    expect(contents(settings.dataDir)).toEqual(before);
  });

  test('a clock before the authority’s beginning is blamed itself, and nothing is written', async () => {
    const settings = await fresh();
    const before = contents(settings.dataDir);
    const { message, detail } = await failure(settings, inDays(-400));
    expect(message).toMatch(/the authority begins on .*, and this machine’s clock says 20/);
    expect(detail['hint']).toContain('Set the clock');
    expect(contents(settings.dataDir)).toEqual(before);
  });

  test('an authority without its key is only missed when something must be signed', async () => {
    const settings = await fresh();
    unlinkSync(tls(settings, 'client-ca.key'));
    expect((await ensureCertificates(settings, systemClock)).made).toEqual([]);
    unlinkSync(tls(settings, 'client-admin.crt'));
    const { code, message } = await failure(settings);
    expect(code).toBe('ERR_CERTIFICATE');
    expect(message).toContain(tls(settings, 'client-ca.key'));
  });
});

describe('certificates that somebody has asked for', () => {
  test('are made anew with their keys, once; those of other services stay', async () => {
    const settings = await fresh();
    const before = contents(settings.dataDir);
    const { rotation } = layoutOf(settings);
    await askForRotation(rotation, ['scheduler'], 1);
    await askForRotation(rotation, ['etcd'], 2);
    const { made, renewed } = await ensureCertificates(settings, systemClock);
    expect([...made].sort()).toEqual([
      'etcd peer certificate: it was asked for',
      'etcd serving certificate: it was asked for',
      'kube-scheduler serving certificate: it was asked for',
      'system:kube-scheduler client certificate: it was asked for',
    ]);
    expect(renewed.leaves).toHaveLength(4);
    const after = [...contents(settings.dataDir)].filter(([file]) => /\.(?:crt|key)$/.test(file));
    const changed = after.filter(([file, text]) => before.get(file) !== text);
    expect(changed.map(([file]) => path.basename(file)).sort()).toEqual([
      'client-scheduler.crt',
      'peer.crt',
      'server.crt',
      'serving-kube-scheduler.crt',
    ]);
    expect((await ensureCertificates(settings, systemClock)).made).toEqual([]);
  });

  test('stay asked for while they are being made: a later request is not lost', async () => {
    const file = path.join(temporaryFolder(), 'rotate.json');
    await askForRotation(file, ['etcd'], 1);
    const first = await readRotation(file);
    await askForRotation(file, ['kubelet'], 2);
    await first.done();
    const second = await readRotation(file);
    expect(second.reasonFor('/x/agent/tls/client-kubelet.crt')).toBe('it was asked for');
    await second.done();
    expect((await readRotation(file)).reasonFor('/x/agent/tls/client-kubelet.crt')).toBeUndefined();
  });

  test('and a request that is damaged asks for nothing', async () => {
    const file = path.join(temporaryFolder(), 'rotate.json');
    for (const text of ['', '{', '[]', '{"version":2,"askedMs":1,"services":["etcd"]}']) {
      writeFileSync(file, text);
      expect((await readRotation(file)).reasonFor('/x/etcd/server.crt')).toBeUndefined();
    }
  });
});

test.each([
  ['server/tls/etcd/server.crt', 'etcd'],
  ['server/tls/etcd/peer.crt', 'etcd'],
  ['server/tls/etcd/client.crt', 'api-server'],
  ['server/tls/serving-kube-apiserver.crt', 'api-server'],
  ['server/tls/client-kube-apiserver.crt', 'api-server'],
  ['server/tls/client-controller.crt', 'controller-manager'],
  ['server/tls/serving-kube-scheduler.crt', 'scheduler'],
  ['server/tls/client-auth-proxy.crt', 'auth-proxy'],
  ['agent/tls/client-kubelet.crt', 'kubelet'],
  ['agent/tls/client-kube-proxy.crt', 'kube-proxy'],
])('%s is of %s', (file, service) => {
  expect(serviceOf(path.join('/data', file))).toBe(service);
});
