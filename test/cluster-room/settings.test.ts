import { describe, expect, test } from 'vitest';
import { defaultInterfaceOf, hasCapability, openFilesLimitOf } from '../../src/cluster/machine.ts';
import { apiServiceIp, defaultNodeIp, defaultNodeName, resolveSettings } from '../../src/cluster/settings.ts';
import { variablesOf } from '../../src/cluster/variables.ts';
import { machine, settingsIn } from './settings-kit.ts';

const mistakesOf = (input: object): string => {
  try {
    settingsIn('/data', input);
  } catch (error) {
    return `${(error as { code: string }).code} ${(error as Error).message}`;
  }
  return 'none';
};

describe('defaults', () => {
  test('the node has the host’s name and the address of the default route', () => {
    expect(settingsIn('/data')).toMatchObject({
      nodeName: 'node1',
      nodeIp: '192.0.2.10',
      clusterCidr: '10.42.0.0/16',
      podCidr: '10.42.0.0/24',
      serviceCidr: '10.43.0.0/16',
      clusterDns: '10.43.0.10',
      httpsListenPort: 6443,
      writeKubeconfig: '/data/k3s-lite.yaml',
    });
  });

  test('without a default route the first address outside loopback counts, then 127.0.0.1', () => {
    expect(defaultNodeIp({ ...machine, defaultInterface: undefined })).toBe('198.51.100.7');
    expect(defaultNodeIp({ ...machine, addresses: machine.addresses.slice(0, 1) })).toBe('127.0.0.1');
  });

  test('a shared address that an earlier process has left on an interface is not this machine’s', () => {
    const vipApiserver = '192.0.2.9';
    const left = { interface: 'eth0', address: vipApiserver, internal: false, prefix: 32 };
    const withIt = (prefix: number) => ({ ...machine, addresses: [{ ...left, prefix }, ...machine.addresses] });
    const resolve = (prefix: number) =>
      resolveSettings({ vipApiserver }, { dataDir: '/data', runDir: '/run', searchPath: [], machine: withIt(prefix) });
    expect(resolve(32)).toMatchObject({ nodeIp: '192.0.2.10', vipApiserver });
    expect(() => resolve(24)).toThrow('--vip-apiserver 192.0.2.9 is this machine’s own');
  });

  test('a host name becomes a name that Kubernetes takes', () => {
    expect(defaultNodeName('My_Host.Example')).toBe('my-host.example');
    expect(defaultNodeName('-edge-')).toBe('edge');
    expect(defaultNodeName('___')).toBe('node');
  });

  test('cluster DNS follows another service network', () => {
    const settings = settingsIn('/data', { serviceCidr: '10.96.0.0/12' });
    expect(settings.clusterDns).toBe('10.96.0.10');
    expect(apiServiceIp(settings)).toBe('10.96.0.1');
  });
});

describe('mistakes', () => {
  test.each([
    [{ clusterCidr: '10.42.0.0' }, '--cluster-cidr is "10.42.0.0", but must be an IPv4 network'],
    [{ clusterCidr: '10.42.0.1/16' }, 'no bits behind the prefix'],
    [{ nodeName: 'Node' }, '--node-name is "Node"'],
    [{ nodeIp: '300.1.1.1' }, '--node-ip is "300.1.1.1", but must be an IPv4 address'],
    [{ httpsListenPort: 70000 }, '--https-listen-port is 70000, but must be a port number'],
    [{ serviceCidr: '10.42.128.0/17' }, '--cluster-cidr 10.42.0.0/16 and --service-cidr 10.42.128.0/17 overlap'],
    [{ clusterDns: '10.44.0.10' }, '--cluster-dns 10.44.0.10 must lie in --service-cidr'],
    [{ podCidr: '10.50.0.0/24' }, '--pod-cidr 10.50.0.0/24 must lie in --cluster-cidr'],
    [{ nodeIp: '10.42.0.9' }, '--node-ip 10.42.0.9 must not lie in --cluster-cidr'],
    [{ nodeConnectionRetry: '100ms' }, '--node-connection-retry is "100ms", but must be a duration of at least 500ms'],
    [{ etcdRequestTimeout: '5' }, '--etcd-request-timeout is "5", but must be a duration of at least 1ms, like'],
    [{ etcdPeerPort: 2379 }, '--etcd-peer-port and --etcd-client-port are both 2379'],
  ])('%j is refused by flag, value and what is allowed', (input, message) => {
    expect(mistakesOf(input)).toContain(`ERR_CONFIG cannot use the settings: `);
    expect(mistakesOf(input)).toContain(message);
  });

  test('all of them are told at once', () => {
    const message = mistakesOf({ nodeName: 'Node', clusterCidr: 'x' });
    expect(message).toContain('--node-name');
    expect(message).toContain('--cluster-cidr');
  });
});

test('two control planes with other paths and ports share no variable that names a place', () => {
  const other = { etcdClientPort: 12379, etcdPeerPort: 12380, etcdMetricsPort: 12381, httpsListenPort: 16443 };
  const first = variablesOf(settingsIn('/one'));
  const second = variablesOf(settingsIn('/two', other));
  for (const [name, { value }] of first) {
    if (value.includes('/one') || name in other) expect(second.get(name)?.value, name).not.toBe(value);
  }
});

test('what the kernel says of routes, capabilities and limits is read', () => {
  const routes = [
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
    'wlan0\t00000000\t010200C0\t0003\t0\t0\t600\t00000000\t0\t0\t0',
    'eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0',
    'eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0',
  ].join('\n');
  expect(defaultInterfaceOf(routes)).toBe('eth0');
  expect(hasCapability('Name:\tx\nCapEff:\t000001fffeffffff\n', 24n)).toBe(false);
  expect(hasCapability('CapEff:\t000001ffffffffff\n', 24n)).toBe(true);
  expect(openFilesLimitOf('Max open files            1024                 20000                files')).toBe(20_000);
});
