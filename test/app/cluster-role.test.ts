import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { readConfiguration } from '../../src/app/configuration.ts';
import { requireJoinable } from '../../src/app/cluster-role.ts';
import { unitEnv, withoutSecrets } from '../../src/app/flags.ts';
import { vipSocket } from '../../src/app/paths.ts';
import { prepare, type Prepared } from '../../src/app/prepare.ts';
import type { Need } from '../../src/unit/schema.ts';
import { certificatePlan } from '../../src/cluster/certificate-plan.ts';
import { kubeconfigPlan } from '../../src/cluster/kubeconfigs.ts';
import { variablesOf } from '../../src/cluster/variables.ts';
import { shippedUnits } from '../../src/app/shipped.ts';
import { loadUnits } from '../../src/unit/load-units.ts';
import { layoutOf } from '../../src/cluster/layout.ts';
import { settingsIn, temporaryFolder } from '../cluster-room/settings-kit.ts';

async function prepared(options: Record<string, unknown>, env: Record<string, string> = {}): Promise<Prepared> {
  const dataDir = '/nonexistent/k3s-lite';
  const configuration = await readConfiguration({ options: { dataDir, ...options }, env, cwd: '/', uid: 0 });
  return prepare({ configuration, units: [], env, cwd: '/', needsPrograms: false });
}
const needsOf = ({ graph }: Pick<Prepared, 'graph'>, unit: string): readonly string[] =>
  graph.needs(unit).map((need: Need) => `${need.kind} ${need.unit}`);

test('a plain `up` has nothing of a cluster of several', async () => {
  const { graph, settings } = await prepared({});
  expect(settings.role).toBe('single');
  const files = readdirSync(shippedUnits()).filter((name) => name.endsWith('.yaml'));
  expect(graph.order.map((name) => `${name}.yaml`).sort()).toEqual(files.sort());
  const loaded = await loadUnits({
    dirs: [shippedUnits()],
    variables: Object.fromEntries(variablesOf(settings)),
  });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.error));
  for (const { name, hash } of loaded.value.units) expect(graph.unit(name).hash).toBe(hash);
});

test('--cluster-init adds the token, the join server and membership, and changes what several servers do otherwise', async () => {
  const { graph } = await prepared({ clusterInit: true });
  const plain = (await prepared({})).graph;
  expect(graph.order.filter((name) => !plain.has(name)).sort()).toEqual([
    'etcd-member',
    'etcd-voter',
    'etcd-watch',
    'join-server',
    'peers',
    'pod-routes',
    'token',
  ]);
  const changed = plain.order.filter((name) => graph.unit(name).hash !== plain.unit(name).hash);
  const others = ['cluster-dns', 'etcd', 'kube-controller-manager', 'kube-scheduler'];
  expect(changed.sort()).toEqual(others);
  // Pods are not sent to a server whose DNS is about to stop, and nobody puts it back meanwhile.
  expect(graph.unit('cluster-dns').undo).toEqual(['builtin:leave-cluster-dns']);
  expect(graph.stopsAfter('coredns')).toContain('cluster-dns');
  // Started alone it is asked again, too.
  expect(needsOf({ graph }, 'coredns')).toContain('parallel cluster-dns');
  expect([...graph.closure(['coredns'])]).toContain('cluster-dns');
  expect(graph.stopsAfter('cluster-dns')).toContain('join-server');
  expect(graph.unit('etcd').flags).not.toHaveProperty('initial-cluster');
  expect(graph.unit('kube-scheduler').flags).toMatchObject({ 'leader-elect': 'true' });
  expect(needsOf({ graph }, 'kube-apiserver')).toContain('hard etcd-voter');
  // By the socket as before, at which somebody stands in for etcd while it does not run.
  const { 'etcd-servers': servers } = graph.unit('kube-apiserver').flags;
  expect(servers).toMatch(/^unix:/);
  expect(String(graph.unit('etcd').flags['listen-client-urls']).split(',')).toContain(servers);
});

test.each([
  ['as it is for all', [], '50s'],
  ['as the controllers are told', ['node-monitor-grace-period=1m30s'], '1m30s'],
  ['what is no duration is for the controllers to refuse', ['node-monitor-grace-period=soon'], '50s'],
  ['controllers that elect nobody', ['leader-elect=false'], 'never'],
  ['the same in another spelling of Go', ['leader-elect=F'], 'never'],
  ['and in another', ['leader-elect=False'], 'never'],
  ['and as a number', ['leader-elect=0'], 'never'],
  ['controllers that elect, said', ['leader-elect=T'], '50s'],
  ['a Lease of another name', ['leader-elect-resource-name=mine'], 'never'],
  ['a Lease in another namespace', ['leader-elect-resource-namespace=mine'], 'never'],
  ['the usual Lease, said', ['leader-elect-resource-namespace=kube-system'], '50s'],
])('after how long silent nodes are given up while no controller-manager lives: %s', async (_, given, grace) => {
  const { graph } = await prepared({ clusterInit: true, kubeControllerManagerArg: given });
  expect(graph.unit('join-server').flags).toMatchObject({ 'node-monitor-grace-period': grace });
  const plain = (await prepared({ clusterInit: true })).graph;
  expect(graph.unit('join-server').hash === plain.unit('join-server').hash).toBe(grace === '50s');
});

test('a server without controllers gives silent nodes up after what is usual: it cannot know their settings', async () => {
  const { graph } = await prepared({
    server: ['https://s1:9345'],
    disableControllerManager: true,
    disableApiserver: true,
    disableScheduler: true,
    kubeControllerManagerArg: ['node-monitor-grace-period=20s'],
  });
  expect(graph.has('kube-controller-manager')).toBe(false);
  expect(graph.unit('join-server').flags).toMatchObject({ 'node-monitor-grace-period': '50s' });
});

test('a server that joins asks the others before it makes its certificates, and is what the first one is', async () => {
  const joining = await prepared({ server: ['https://s1:9345'] });
  const first = (await prepared({ clusterInit: true })).graph;
  expect(joining.settings).toMatchObject({ role: 'server', isJoining: true });
  expect(joining.graph.order.filter((name) => !first.has(name))).toEqual(['join']);
  expect(needsOf(joining, 'certificates')).toEqual(['hard join']);
  expect(needsOf(joining, 'cni')).toContain('hard node-object');
  for (const name of first.order) {
    if (name !== 'cni') expect(joining.graph.unit(name).hash).toBe(first.unit(name).hash);
  }
});

test('a server without etcd reaches that of the others where its own would be', async () => {
  const control = await prepared({ server: ['https://s1:9345'], disableEtcd: true });
  for (const name of ['etcd', 'etcd-member', 'etcd-voter']) expect(control.graph.has(name)).toBe(false);
  expect(needsOf(control, 'kube-apiserver')).toEqual(['hard certificates', 'hard etcd-balancer']);
  const { flags } = control.graph.unit('kube-apiserver');
  expect(flags['etcd-servers']).toBe(`https://127.0.0.1:${String(control.settings.etcdClientPort)}`);
  expect(flags['etcd-keyfile']).toMatch(/client\.key$/);
  expect(control.graph.unit('join-server').flags).toMatchObject({ has: 'api' });
});

test('a server with etcd alone has no node, or one that reaches the API of the others', async () => {
  const parts = { disableApiserver: true, disableControllerManager: true, disableScheduler: true };
  const alone = await prepared({ clusterInit: true, ...parts, disableAgent: true });
  expect([...alone.graph.order].sort()).toEqual(
    [
      'certificates',
      'etcd',
      'etcd-member',
      'etcd-voter',
      'etcd-watch',
      'join-server',
      'kubeconfigs',
      'peers',
      'token',
    ].sort(),
  );
  expect(alone.graph.unit('join-server').flags).toMatchObject({ has: 'etcd', server: 'https://127.0.0.1:6444' });
  const node = await prepared({ clusterInit: true, ...parts });
  for (const name of ['kube-apiserver', 'coredns', 'manifests']) expect(node.graph.has(name)).toBe(false);
  for (const name of ['kubelet', 'kube-proxy', 'node-object'])
    expect(needsOf(node, name)).toContain('hard api-balancer');
});

test('a schedule of snapshots brings its unit, wherever there is etcd', async () => {
  const schedule = { etcdSnapshotScheduleCron: '@hourly' };
  const has = async (options: Record<string, unknown>) => (await prepared(options)).graph.has('etcd-snapshots');
  expect(await has(schedule)).toBe(true);
  expect(await has({ ...schedule, clusterInit: true })).toBe(true);
  expect(await has({ server: ['https://s1:9345'] })).toBe(false);
  expect(await has({ ...schedule, disableEtcd: true, server: ['https://s1:9345'] })).toBe(false);
  expect(await has({ ...schedule, role: 'agent', server: ['https://s1:9345'] })).toBe(false);
  await expect(prepared({ etcdSnapshotScheduleCron: '61 * * * *' })).rejects.toThrow('"61" is no minute');
});

describe('a pool of virtual IPs', () => {
  const vipPool = ['lan=192.0.2.0/28,192.0.2.32', '198.51.100.0/28'];

  test('brings its unit and its permissions, and certificates for it', async () => {
    for (const options of [{ vipPool }, { vipPool, clusterInit: true }, { vipPool, server: ['https://s1:9345'] }]) {
      const { graph, settings } = await prepared(options);
      expect(needsOf({ graph }, 'vip')).toEqual(
        expect.arrayContaining(['hard kubeconfigs', 'hard kube-apiserver', 'hard vip-objects']),
      );
      expect(graph.stopsAfter('kube-apiserver')).toContain('vip');
      // What has no name comes first: behind `lan=…,` it would belong to that.
      expect(graph.unit('vip').flags).toMatchObject({
        pool: '198.51.100.0/28,lan=192.0.2.0/28,192.0.2.32',
        'default-class': 'false',
        'control-socket': vipSocket(settings),
      });
      expect(graph.unit('vip').flags).not.toHaveProperty('interface');
      const leaf = certificatePlan(settings).leaves.find(({ commonName }) => commonName === 'k3s-lite:vip');
      expect(kubeconfigPlan(settings).map(({ certificate }) => `${certificate}.crt`)).toContain(leaf?.certFile);
      expect(leaf).toMatchObject({ authority: 'client', usages: ['client'] });
    }
  });

  test('where the API is elsewhere, is served through the balancer', async () => {
    const parts = { disableApiserver: true, disableControllerManager: true, disableScheduler: true };
    for (const options of [
      { vipPool, role: 'agent', server: ['https://s1:9345'] },
      { vipPool, clusterInit: true, ...parts },
    ]) {
      const { graph } = await prepared(options);
      expect(graph.has('vip-objects')).toBe(false);
      expect(needsOf({ graph }, 'vip')).toEqual(['hard kubeconfigs', 'soft kube-proxy', 'hard api-balancer']);
    }
  });

  test('is absent without one, and with the control plane alone', async () => {
    const { graph, settings } = await prepared({});
    expect(graph.has('vip')).toBe(false);
    expect(certificatePlan(settings).leaves.map(({ commonName }) => commonName)).not.toContain('k3s-lite:vip');
    expect((await prepared({ vipPool, disableAgent: true })).graph.has('vip')).toBe(false);
  });

  test('has an interface and times that are given on', async () => {
    const times = { vipLeaseDuration: '10s', vipRenewDeadline: '6s', vipRetryPeriod: '1500ms' };
    const vipWindow = ['0 2 * * sun 2h Europe/Berlin', '@daily 1h'];
    const given = { vipPool, vipInterface: 'eth1', vipDefaultClass: true, vipWindow, vipElection: 'per-service' };
    const { graph } = await prepared({ ...given, ...times });
    expect(graph.unit('vip').flags).toMatchObject({
      interface: 'eth1',
      'default-class': 'true',
      election: 'per-service',
      'lease-duration': '10000',
      'renew-deadline': '6000',
      'retry-period': '1500',
      window: '0 2 * * sun 2h Europe/Berlin; @daily 1h',
    });
  });

  test('is refused with its reason when it or its times cannot be', async () => {
    await expect(prepared({ vipPool: ['lan=192.0.2.1/28'] })).rejects.toThrow(
      '--vip-pool: "192.0.2.1/28" is no range of addresses, it begins at 192.0.2.0/28',
    );
    await expect(prepared({ vipPool, vipLeaseDuration: '2s' })).rejects.toThrow(
      '--vip-lease-duration 2.0 s is not longer than --vip-renew-deadline 3.0 s',
    );
    await expect(prepared({ vipPool, vipWindow: ['sunday'] })).rejects.toThrow('--vip-window: "sunday" is no window');
    await expect(prepared({ vipWindow: ['@daily 1h'] })).rejects.toThrow('--vip-window needs --vip-pool');
    await expect(prepared({ vipPool, vipElection: 'loudest' })).rejects.toThrow('coordinator or per-service');
    await expect(prepared({ vipElection: 'per-service' })).rejects.toThrow('--vip-election needs --vip-pool');
    await expect(prepared({ vipBalance: 'load' })).rejects.toThrow('--vip-balance needs --vip-pool');
    await expect(prepared({ vipPool, vipBalance: 'loudest' })).rejects.toThrow('count or load');
    await expect(prepared({ vipPool, vipBalance: 'load', vipElection: 'per-service' })).rejects.toThrow(
      '--vip-balance load does not go with --vip-election per-service',
    );
    await expect(prepared({ vipInterface: 'eth1' })).rejects.toThrow('--vip-interface needs --vip-pool');
  });
});

test('an agent has its node and no control plane', async () => {
  const agent = await prepared({ role: 'agent', server: ['https://s1:9345'] });
  expect([...agent.graph.order].sort()).toEqual(
    ['api-balancer', 'cni', 'containerd', 'images', 'join', 'kernel-settings', 'kube-proxy', 'kubeconfigs'].concat([
      ...['kubelet', 'node-certificates', 'node-config', 'node-object', 'node-ready', 'peers', 'pod-routes'],
    ]),
  );
  expect(needsOf(agent, 'kubeconfigs')).toEqual(['hard node-certificates']);
  expect(needsOf(agent, 'cni')).toContain('hard node-object');
  expect(needsOf(agent, 'kube-proxy')).not.toContain('hard kube-apiserver');
  for (const client of ['kubelet', 'kube-proxy', 'node-object']) {
    expect(needsOf(agent, client)).toContain('hard api-balancer');
  }
});

test('K3s’s environment variables mean the same', async () => {
  const env = { K3S_URL: 'https://s1:6443,https://s2:6443', K3S_TOKEN: 'hunter2', K3S_NODE_NAME: 'w1' };
  const { settings } = await prepared({ role: 'agent' }, env);
  expect(settings).toMatchObject({ role: 'agent', nodeName: 'w1' });
  expect(settings.servers.map(({ host }) => host)).toEqual(['s1', 's2']);
  expect(settings.token?.reveal()).toBe('hunter2');
  expect(inspect(settings, { depth: null })).not.toContain('hunter2');
});

test('an agent needs a server and a token, once it is to be started', () => {
  const agent = (input: object) => settingsIn('/data', { role: 'agent', ...input });
  expect(() => requireJoinable(agent({}))).toThrow(/an agent needs --server.*, and --token-file or --token/);
  expect(() => requireJoinable(agent({ server: ['https://s1'] }))).toThrow('an agent needs --token-file or --token');
  expect(() => requireJoinable(agent({ server: ['https://s1'], tokenFile: '/t' }))).not.toThrow();
  expect(() => requireJoinable(settingsIn('/data'))).not.toThrow();
});

test('what does not go together is a mistake', () => {
  expect(() => settingsIn('/data', { token: 'a', tokenFile: '/b' })).toThrow('--token and --token-file exclude');
  const own = { server: ['https://192.0.2.10:9345', 'https://node1'] };
  expect(() => settingsIn('/data', own)).toThrow('names this machine itself and no other');
  expect(() => settingsIn('/data', { disableEtcd: true })).toThrow('--disable-etcd needs other servers');
  expect(() => settingsIn('/data', { clusterInit: true, disableEtcd: true })).toThrow('which begins etcd');
  const joining = { server: ['https://s1'] };
  expect(() => settingsIn('/data', { ...joining, disableApiserver: true })).toThrow(
    'needs --disable-controller-manager',
  );
  expect(() => settingsIn('/data', { ...joining, disableEtcd: true, disableApiserver: true })).toThrow('leave nothing');
});

test('a server that began or joined a cluster stays one, whatever it is started with', () => {
  const dataDir = temporaryFolder();
  const { etcdEnv, serverJoined } = layoutOf({ dataDir, runDir: '' });
  mkdirSync(path.dirname(etcdEnv), { recursive: true });
  expect(settingsIn(dataDir)).toMatchObject({ role: 'single', isJoining: false });
  writeFileSync(etcdEnv, '');
  expect(settingsIn(dataDir)).toMatchObject({ role: 'server', isJoining: false });
  writeFileSync(serverJoined, '{}');
  const further = settingsIn(dataDir);
  expect(further).toMatchObject({ role: 'server', isJoining: true });
  expect(() => requireJoinable(further)).not.toThrow();
  expect(settingsIn(dataDir, { server: ['https://192.0.2.10:9345'] }).servers).toEqual([]);
});

test('the same list may be given to every server', () => {
  const { servers } = settingsIn('/data', { server: ['https://192.0.2.10:9345,https://192.0.2.11:9345'] });
  expect(servers.map(({ host }) => host)).toEqual(['192.0.2.11']);
});

test('a token is neither written down nor given to units', () => {
  expect(withoutSecrets({ token: 'hunter2', 'token-file': '/t', wait: true })).toEqual({
    'token-file': '/t',
    wait: true,
  });
  expect(unitEnv({ K3S_TOKEN: 'a', K3S_LITE_TOKEN: 'b', K3S_TOKEN_FILE: '/t', PATH: path.sep })).toEqual({
    K3S_TOKEN_FILE: '/t',
    PATH: path.sep,
  });
});

describe('an address that the API servers share', () => {
  const vipApiserver = '192.0.2.200';
  const server = ['https://s1:9345'];

  test('brings the unit of virtual IPs without a pool, also where no containers run', async () => {
    for (const options of [{}, { clusterInit: true }, { server }, { clusterInit: true, disableAgent: true }]) {
      const { graph, settings } = await prepared({ vipApiserver, ...options });
      expect(graph.has('vip-objects')).toBe(true);
      expect(needsOf({ graph }, 'vip')).toEqual(expect.arrayContaining(['hard kube-apiserver', 'hard vip-objects']));
      expect(graph.unit('vip').flags).toMatchObject({
        pool: '',
        'apiserver-vip': vipApiserver,
        apiserver: 'https://127.0.0.1:6443',
      });
      expect(kubeconfigPlan(settings).map(({ user }) => user)).toContain('vip');
    }
  });

  test('is in the certificates of the API server and of the join server', async () => {
    const { settings } = await prepared({ vipApiserver, clusterInit: true });
    const named = certificatePlan(settings).leaves.filter(({ ips }) => ips.includes(vipApiserver));
    expect(named.map(({ name }) => name)).toEqual(['kube-apiserver serving', 'join server']);
  });

  test('goes with a pool that does not have it, and with the times of virtual IPs', async () => {
    const { graph } = await prepared({ vipApiserver, vipPool: ['192.0.2.208/28'], vipLeaseDuration: '6s' });
    expect(graph.unit('vip').flags).toMatchObject({ pool: '192.0.2.208/28', 'lease-duration': '6000' });
    const alone = await prepared({ vipApiserver, vipInterface: 'eth1' });
    expect(alone.graph.unit('vip').flags).toMatchObject({ interface: 'eth1', 'apiserver-vip': vipApiserver });
  });

  test.each([
    [{ vipPool: ['lan=192.0.2.192/28'] }, '--vip-pool: pool lan has 192.0.2.200, which is --vip-apiserver'],
    [{ vipApiserver: 'api.example' }, '--vip-apiserver is "api.example", but must be an IPv4 address'],
    [{ nodeIp: vipApiserver }, '--vip-apiserver 192.0.2.200 is this machine’s own'],
    [{ vipApiserver: '10.43.0.9' }, '--vip-apiserver 10.43.0.9 must not lie in --service-cidr 10.43.0.0/16'],
    [{ clusterCidr: '192.0.0.0/16' }, '--vip-apiserver 192.0.2.200 must not lie in --cluster-cidr 192.0.0.0/16'],
    [{ vipApiserver: '127.0.0.9' }, '--vip-apiserver 127.0.0.9 can be no machine’s address'],
    [{ role: 'agent', server }, '--vip-apiserver 192.0.2.200 is for servers: an agent reaches it by --server'],
    [
      { server, disableApiserver: true, disableControllerManager: true, disableScheduler: true },
      '--vip-apiserver 192.0.2.200 does not go with --disable-apiserver',
    ],
    [{ vipDefaultClass: true }, '--vip-default-class needs --vip-pool'],
  ])('is refused with %j', async (options, message) => {
    await expect(prepared({ vipApiserver, ...options })).rejects.toThrow(message);
  });
});
