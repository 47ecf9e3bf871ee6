/**
 * A control plane that is started again after something has changed while it was off: the machine's
 * address, the age of its certificates, the version that wrote its data.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dataLayout } from '../../src/app/data-record.ts';
import { resolveSettings, type Settings } from '../../src/cluster/settings.ts';
import { longTest, rowsOf } from '../kit/matrix.ts';
import { ageCertificates } from './kit/aged-certificates.ts';
import { createCluster, type Cluster, type Up } from './kit/cluster.ts';
import { install, type Installation } from './kit/installation.ts';

let installation: Installation;
let cluster: Cluster;
const addresses = ['192.0.2.1', '192.0.2.77'] as const;
const at = (address: string) => ['--disable-agent', '--node-ip', address, '--node-name', 'node1'];

beforeAll(async () => {
  installation = await install();
  cluster = await createCluster({ installation });
  const up = cluster.up(at(addresses[0]));
  await up.events.ready();
  await kept('create', 'configmap', 'kept', '--from-literal=answer=42');
  expect((await up.interrupt()).code).toBe(0);
});
afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  installation[Symbol.dispose]();
});

async function kept(...args: readonly string[]): Promise<string> {
  const { code, out, err } = await cluster.kubectl(...args);
  expect(code, err).toBe(0);
  return out;
}

const notices = (up: Up) => up.events.of('notice').map(({ event }) => String(event['text']));
const version = () => path.join(cluster.paths.dataDir, 'version.json');
const recorded = () => JSON.parse(readFileSync(version(), 'utf8')) as Record<string, unknown>;

/** What is told of the certificates, as far as it is an error of theirs. */
function errorOf(up: Up): { readonly message: string; readonly detail: string } {
  const error = up.events.chain('certificates').find(({ code }) => code === 'ERR_CERTIFICATE');
  return { message: String(error?.message), detail: JSON.stringify(error) };
}

/** Every object is still there, and the controllers are at work. */
async function expectWhole(): Promise<void> {
  expect(await kept('get', 'configmap', 'kept', '-o', 'jsonpath={.data.answer}')).toBe('42');
  expect(await kept('get', '--raw', '/readyz')).toBe('ok');
  await kept('create', 'deployment', 'probe', '--image=none', '--replicas=1');
  await expect.poll(() => kept('get', 'replicasets', '-o', 'name'), { timeout: 20_000 }).toContain('probe');
  await kept('delete', 'deployment', 'probe');
}

/** As the program resolves them for this cluster. */
function settingsOf(nodeIp: string): Settings {
  const { dataDir, runDir } = cluster.paths;
  return resolveSettings({ nodeIp, nodeName: 'node1' }, { dataDir, runDir, searchPath: [] });
}

test('the machine has another address: one line says so, names and endpoints follow, every object is there', async () => {
  const up = cluster.up(at(addresses[1]));
  await up.events.ready();
  const [line, ...others] = notices(up).filter((text) => text.includes(addresses[1]));
  expect(line).toContain(`this node’s address is ${addresses[1]} and was ${addresses[0]} at the last start`);
  expect(others).toEqual([]);
  await expectWhole();
  for (const file of [
    'server/tls/serving-kube-apiserver.crt',
    'server/tls/etcd/peer.crt',
    'agent/tls/serving-kubelet.crt',
  ]) {
    const certificate = new X509Certificate(readFileSync(path.join(cluster.paths.dataDir, file)));
    expect(certificate.checkIP(addresses[1]), file).toBe(addresses[1]);
    expect(certificate.checkIP(addresses[0]), file).toBeUndefined();
  }
  const endpoints = () => kept('get', 'endpointslices', 'kubernetes', '-o', 'jsonpath={.endpoints[*].addresses[*]}');
  await expect.poll(endpoints, { timeout: 30_000 }).toBe(addresses[1]);
  expect((await up.interrupt()).code).toBe(0);
  expect(recorded()).toMatchObject({ nodeIp: addresses[1], nodeName: 'node1' });
});

const ages: readonly (readonly [string, { authorityDays: number; leafDays: number }, readonly string[]])[] = [
  ['certificates expired while it was off', { authorityDays: 500, leafDays: 400 }, ['renewed: the certificate']],
  [
    'authorities expired, too',
    { authorityDays: 3700, leafDays: 400 },
    ['renewed with its own key: the authority', 'renewed: the certificate'],
  ],
];
test.each(rowsOf(ages, ([, , lines]) => lines.length > 1))(
  '%s: they are renewed and said, keys and objects stay',
  async (_what, age, lines) => {
    const keys = await ageCertificates(settingsOf(addresses[1]), age);
    const before = keys();
    const up = cluster.up(at(addresses[1]));
    await up.events.ready();
    for (const line of lines) expect(notices(up).filter((text) => text.startsWith(line))).toHaveLength(1);
    await expectWhole();
    expect(keys()).toEqual(before);
    expect((await up.interrupt()).code).toBe(0);
  },
);

test('an authority that expired, without its key: every start is refused with the file and what to do; with it all start', async () => {
  await ageCertificates(settingsOf(addresses[1]), { authorityDays: 3700, leafDays: 400 });
  const file = path.join(cluster.paths.dataDir, 'server/tls/client-ca');
  renameSync(`${file}.key`, `${file}.away`);
  const up = cluster.up(at(addresses[1]));
  await up.events.state('certificates', 'backoff');
  const { message, detail } = errorOf(up);
  expect(message).toContain(`${file}.crt: the authority expired on`);
  expect(detail).toContain(`Put its key back as ${file}.key`);
  expect(up.events.of('process.spawned')).toEqual([]);
  renameSync(`${file}.away`, `${file}.key`);
  await up.events.ready();
  await expectWhole();
  expect((await up.interrupt()).code).toBe(0);
});

test('the data is of a newer layout: exit 3 with the remedy, and nothing is touched', async () => {
  const before = recorded();
  writeFileSync(version(), JSON.stringify({ layout: dataLayout + 1, k3sLite: '9.0.0', what: 'unknown here' }));
  const stamp = statSync(cluster.paths.dataDir).mtimeMs;
  const refused = await cluster.run('up', ...cluster.portArgs(), ...at(addresses[1]), '--allow-downgrade');
  expect(refused).toMatchObject({ code: 3, out: '' });
  expect(refused.err).toContain(`k3s-lite 9.0.0 wrote it in layout ${dataLayout + 1}`);
  expect(refused.err).toContain('hint: use k3s-lite 9.0.0 or newer');
  expect(statSync(cluster.paths.dataDir).mtimeMs).toBe(stamp);
  expect(await cluster.traces()).toEqual([]);
  writeFileSync(version(), JSON.stringify(before));
});

test('a newer Kubernetes has written the data: refused, unless --allow-downgrade says otherwise', async () => {
  const before = recorded();
  const minor = Number(String(before['kubernetes']).split('.')[1]);
  writeFileSync(version(), JSON.stringify({ ...before, kubernetes: `1.${minor + 1}.0` }));
  const refused = await cluster.run('up', ...cluster.portArgs(), ...at(addresses[1]));
  expect(refused).toMatchObject({ code: 3, out: '' });
  expect(refused.err).toContain(`Kubernetes 1.${minor + 1}.0 wrote it`);
  expect(refused.err).toContain('--allow-downgrade');

  const up = cluster.up([...at(addresses[1]), '--allow-downgrade']);
  await up.events.ready();
  expect(notices(up)).toContainEqual(expect.stringContaining(`was written by Kubernetes 1.${minor + 1}.0`));
  await expectWhole();
  expect((await up.interrupt()).code).toBe(0);
  expect(recorded()).toEqual(before);
});

longTest('a damaged version file: it is explained, and everything starts', async () => {
  const before = recorded();
  writeFileSync(version(), '');
  const up = cluster.up(at(addresses[1]));
  await up.events.ready();
  expect(notices(up)).toContainEqual(
    expect.stringContaining(`${version()} does not say which version wrote this data`),
  );
  await expectWhole();
  expect((await up.interrupt()).code).toBe(0);
  expect(recorded()).toEqual(before);
});
