import path from 'node:path';
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { readConfiguration } from '../../src/app/configuration.ts';
import { requireJoinable } from '../../src/app/cluster-role.ts';
import { unitEnv, withoutSecrets } from '../../src/app/flags.ts';
import { prepare, type Prepared } from '../../src/app/prepare.ts';
import type { Need } from '../../src/unit/schema.ts';
import { settingsIn } from '../cluster-room/settings-kit.ts';

async function prepared(options: Record<string, unknown>, env: Record<string, string> = {}): Promise<Prepared> {
  const dataDir = '/nonexistent/k3s-lite';
  const configuration = await readConfiguration({ options: { dataDir, ...options }, env, cwd: '/', uid: 0 });
  return prepare({ configuration, units: [], env, cwd: '/', needsPrograms: false });
}
const needsOf = ({ graph }: Prepared, unit: string): readonly string[] =>
  graph.needs(unit).map((need: Need) => `${need.kind} ${need.unit}`);

test('a plain `up` has nothing of a cluster of several', async () => {
  const { graph, settings } = await prepared({});
  expect(settings.role).toBe('single');
  for (const name of ['token', 'join-server', 'join', 'node-certificates']) expect(graph.has(name)).toBe(false);
  const other = await prepared({ clusterInit: true });
  // What a unit is does not depend on the role: no process restarts because others may join.
  for (const name of graph.order) expect(other.graph.unit(name).hash).toBe(graph.unit(name).hash);
});

test('--cluster-init adds the token and the join server', async () => {
  const { graph } = await prepared({ clusterInit: true });
  const plain = new Set((await prepared({})).graph.order);
  expect(graph.order.filter((name) => !plain.has(name)).sort()).toEqual(['join-server', 'token']);
});

test('an agent has its node and no control plane', async () => {
  const agent = await prepared({ role: 'agent', server: ['https://s1:9345'] });
  expect([...agent.graph.order].sort()).toEqual(
    ['api-balancer', 'cni', 'containerd', 'images', 'join', 'kernel-settings', 'kube-proxy', 'kubeconfigs'].concat([
      ...['kubelet', 'node-certificates', 'node-config', 'node-object', 'node-ready'],
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
  expect(() => settingsIn('/data', { server: ['https://s1'] })).toThrow('further servers cannot join yet');
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
