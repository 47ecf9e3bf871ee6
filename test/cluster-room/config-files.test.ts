import { mkdirSync, readFileSync, statSync, chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ensureCertificates } from '../../src/cluster/certificates.ts';
import {
  cniConfig,
  containerdConfig,
  corefile,
  ensureConfigFiles,
  kubeletConfig,
  kubeProxyConfig,
  podResolvConf,
} from '../../src/cluster/config-files.ts';
import { ensureKubeconfigs, kubeconfigPlan } from '../../src/cluster/kubeconfigs.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { settingsIn, temporaryFolder } from './settings-kit.ts';

describe('kubeconfigs', () => {
  test('those for people hold certificates, those of components name files; all are for their owner alone', async () => {
    const settings = settingsIn(temporaryFolder(), { httpsListenPort: 16443 });
    await ensureCertificates(settings, systemClock);
    expect(await ensureKubeconfigs(settings)).toHaveLength(kubeconfigPlan(settings).length);
    for (const { file, isForPeople } of kubeconfigPlan(settings)) {
      const text = readFileSync(file, 'utf8');
      expect(text).toContain('"server": "https://127.0.0.1:16443"');
      expect(text.includes(settings.dataDir)).toBe(isForPeople !== true);
      expect(statSync(file).mode & 0o777).toBe(0o600);
    }
    const shape = z.object({ users: z.tuple([z.object({ user: z.object({ 'client-key-data': z.string() }) })]) });
    const admin = shape.parse(JSON.parse(readFileSync(settings.writeKubeconfig, 'utf8')));
    const key = Buffer.from(admin.users[0].user['client-key-data'], 'base64').toString();
    expect(key).toBe(readFileSync(path.join(settings.dataDir, 'server/tls/client-admin.key'), 'utf8'));
  });

  test('an unchanged one is not written again, but closed again', async () => {
    const settings = settingsIn(temporaryFolder());
    await ensureCertificates(settings, systemClock);
    await ensureKubeconfigs(settings);
    chmodSync(settings.writeKubeconfig, 0o644);
    expect(await ensureKubeconfigs(settings)).toEqual([]);
    expect(statSync(settings.writeKubeconfig).mode & 0o777).toBe(0o600);
  });
});

describe('configuration files', () => {
  const settings = settingsIn('/data', { cgroupRoot: '/one' });

  test('containerd keeps everything under our own folders', () => {
    const text = containerdConfig(settings);
    expect(text).toContain('root = "/data/agent/containerd"');
    expect(text).toContain('state = "/data/run/containerd"');
    expect(text).toContain('Root = "/data/run/runc"');
    expect(text).toContain('conf_dir = "/data/agent/etc/cni/net.d"');
    expect(text).not.toContain('/run/containerd/containerd.sock"\n[');
  });

  test('a process that may not lower oom_score_adj says so to containerd, kubelet and kube-proxy', () => {
    const poor = { ...settings, canLowerOomScore: false };
    expect(containerdConfig(poor)).toContain('restrict_oom_score_adj = true');
    expect(containerdConfig(settings)).toContain('restrict_oom_score_adj = false');
    expect(JSON.parse(kubeletConfig(poor))).toMatchObject({ oomScoreAdj: 0 });
    expect(JSON.parse(kubeProxyConfig(poor))).toMatchObject({ oomScoreAdj: 0 });
    expect(JSON.parse(kubeletConfig(settings))).not.toHaveProperty('oomScoreAdj');
  });

  test('kubelet accepts cgroup v1, asks no more files than it may have, and serves with our certificates', () => {
    expect(JSON.parse(kubeletConfig(settings))).toMatchObject({
      failCgroupV1: false,
      cgroupDriver: 'cgroupfs',
      cgroupRoot: '/one',
      maxOpenFiles: 20_000,
      clusterDNS: ['10.43.0.10'],
      authentication: { anonymous: { enabled: false }, webhook: { enabled: true } },
      containerRuntimeEndpoint: 'unix:///data/run/containerd/containerd.sock',
    });
  });

  test('kube-proxy leaves conntrack alone and routes no loopback', () => {
    expect(JSON.parse(kubeProxyConfig(settings))).toMatchObject({
      mode: 'nftables',
      conntrack: { maxPerCore: 0, min: 0 },
      iptables: { localhostNodePorts: false },
    });
  });

  test('the pod network has the node’s part of the cluster’s network', () => {
    expect(cniConfig(settings)).toContain('"subnet": "10.42.0.0/24"');
  });

  test('resolvers on the machine’s own loopback are not handed to pods', () => {
    const host = '# made by hand\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nsearch example\n';
    expect(podResolvConf(settings, host)).toBe('nameserver 192.0.2.1\nsearch example\n');
    expect(corefile(settings, host)).toContain('forward . /data/agent/etc/resolv.conf');
  });

  test('with loopback resolvers alone, cluster DNS asks them and pods ask cluster DNS', () => {
    const host = 'nameserver 127.0.0.11\noptions ndots:0\n';
    expect(podResolvConf(settings, host)).toBe('options ndots:0\nnameserver 10.43.0.10\n');
    expect(corefile(settings, host)).toContain('forward . 127.0.0.11\n');
  });

  test('without any resolver nothing is forwarded', () => {
    expect(podResolvConf(settings, '')).toBe('');
    expect(corefile(settings, '')).not.toContain('forward');
  });

  test('only what has changed is written', async () => {
    const own = settingsIn(temporaryFolder());
    expect(await ensureConfigFiles(own)).toHaveLength(5);
    expect(await ensureConfigFiles(own)).toEqual([]);
    expect(await ensureConfigFiles({ ...own, kubeletPort: 20250 })).toEqual([`${own.dataDir}/agent/etc/kubelet.json`]);
    mkdirSync(own.dataDir, { recursive: true });
    writeFileSync(`${own.dataDir}/agent/etc/Corefile`, 'edited by hand');
    expect(await ensureConfigFiles(own)).toContain(`${own.dataDir}/agent/etc/Corefile`);
  });
});
