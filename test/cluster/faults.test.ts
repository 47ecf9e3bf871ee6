/**
 * Faults of the real components: what is told (root cause named, dependents blocked with the chain),
 * that everything starts by itself when the fault is gone, and that a start with a limit leaves nothing.
 */
import { once } from 'node:events';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCluster, type Cluster, type Up } from './kit/cluster.ts';
import { install, type Installation } from './kit/installation.ts';
import { quickLimit, shippedUnit } from './kit/shipped-unit.ts';
import { plainUser } from './kit/user.ts';

let installation: Installation;
beforeAll(async () => {
  installation = await install();
});
afterAll(() => installation[Symbol.dispose]());

/** The control plane with one unit whose start limit is soon reached. */
function controlPlane(cluster: Cluster, unit: string): readonly string[] {
  const overlay = cluster.unitFolder('units', { [unit]: shippedUnit(installation, unit, quickLimit) });
  return ['--disable-agent', '--units', installation.units, '--units', overlay];
}

/** The chain of the scheduler's error, when everything that needs `root` is blocked. */
async function blockedBy(up: Up, root: string): Promise<readonly unknown[]> {
  await up.events.state(root, 'failed');
  await up.events.state('kube-scheduler', 'blocked');
  return up.events.chain('kube-scheduler').map(({ code, component }) => `${code ?? ''} ${String(component)}`);
}

async function listen(port: number): Promise<Server> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

test('[S4] etcd’s port held by a stranger: the holder is named, dependents are blocked, and all start when it leaves', async () => {
  await using cluster = await createCluster({ installation });
  const port = cluster.port('etcd-client-port');
  const stranger = await listen(port);
  try {
    const up = cluster.up(controlPlane(cluster, 'etcd'));
    expect(await blockedBy(up, 'etcd')).toEqual([
      'ERR_BLOCKED kube-scheduler',
      'ERR_BLOCKED kube-apiserver',
      'ERR_EXITED etcd',
    ]);
    const root = up.events.error('etcd');
    expect(root).toMatchObject({ check: 'notify', phase: 'ready', exit: { kind: 'code', code: 1 } });
    expect(root['reason']).toContain('address already in use');
    expect(root['reason']).toContain(`(${port} is held by pid ${process.pid} `);
    expect(root['hint']).toContain(`port ${port} is held by pid ${process.pid}`);
    const why = await cluster.run('why', 'kube-scheduler');
    expect(why.out).toMatch(/root cause: etcd exited with code 1: .*address already in use/);
    // The same object everywhere: in the events and on the control socket.
    const { ready, units } = await cluster.status();
    expect(ready).toBe(false);
    expect(units.find(({ unit }) => unit === 'kube-scheduler')?.lastError).toMatchObject({
      ...{ code: 'ERR_BLOCKED', cause: { code: 'ERR_BLOCKED', cause: { code: 'ERR_EXITED', component: 'etcd' } } },
    });

    stranger.close();
    await up.events.ready();
    expect((await up.interrupt()).code).toBe(0);
    expect(await cluster.traces()).toEqual([]);
  } finally {
    stranger.close();
  }
});

test('a broken certificate: the file is named as the root cause, and all start when it is removed', async () => {
  await using cluster = await createCluster({ installation });
  const tls = path.join(cluster.paths.dataDir, 'server/tls');
  const file = path.join(tls, 'serving-kube-apiserver.crt');
  mkdirSync(tls, { recursive: true });
  writeFileSync(file, 'no certificate');
  const up = cluster.up(controlPlane(cluster, 'certificates'));
  const chain = await blockedBy(up, 'certificates');
  expect(chain.slice(0, 4)).toEqual([
    'ERR_BLOCKED kube-scheduler',
    'ERR_BLOCKED kubeconfigs',
    'ERR_NOT_READY certificates',
    'ERR_CERTIFICATE undefined',
  ]);
  expect(up.events.chain('etcd')[2]).toMatchObject({ code: 'ERR_CERTIFICATE', file });
  expect(up.events.of('process.spawned')).toEqual([]);
  const why = await cluster.run('why', 'etcd');
  expect(why.out).toContain(file);

  rmSync(file);
  await up.events.ready();
  expect((await up.interrupt()).code).toBe(0);
  expect(await cluster.traces()).toEqual([]);
});

test('a directory that etcd cannot write: it is named, and all start when it can', async () => {
  await using cluster = await createCluster({ installation, user: plainUser });
  cluster.folder('data/server');
  const folder = cluster.folder('data/server/db');
  chmodSync(folder, 0o500);
  const up = cluster.up(controlPlane(cluster, 'etcd'));
  expect((await blockedBy(up, 'etcd')).at(-1)).toBe('ERR_EXITED etcd');
  const { reason, hint } = up.events.error('etcd');
  expect(reason).toContain('permission denied');
  expect(hint).toContain(`no permission for ${folder}`);

  chmodSync(folder, 0o700);
  await up.events.ready();
  expect((await up.interrupt()).code).toBe(0);
  expect(await cluster.traces()).toEqual([]);
});

test('a wrong flag, with a time limit: exit 4, the flag is named once as the cause of all, nothing is left', async () => {
  await using cluster = await createCluster({ installation });
  const units = controlPlane(cluster, 'etcd');
  const limit = ['--wait', '--timeout', '4s', '--etcd-arg', 'nonsense=1'];
  const { code, out, err } = await cluster.run('up', ...units, ...cluster.portArgs(), ...limit);
  expect(code, out + err).toBe(4);
  expect(out).toContain('etcd exited with code 2: flag provided but not defined: -nonsense');
  expect(out).toContain('the program does not know -nonsense');
  expect(out).toMatch(
    /cannot start kube-scheduler: blocked by kube-apiserver\n {2}← .*blocked by etcd\n {2}← etcd exited/,
  );
  // Once when it failed and once at the end, not again for each unit that it blocks.
  expect(out.match(/last output of etcd/g)).toHaveLength(2);
  expect(await cluster.traces()).toEqual([]);
});

test('a component that is nowhere: exit 3 with the command that builds it, and nothing is started', async () => {
  const env = { XDG_CACHE_HOME: '/nonexistent', PATH: '/nonexistent' };
  await using cluster = await createCluster({ installation: { ...installation, env } });
  const { code, err } = await cluster.run('up', '--disable-agent', ...cluster.portArgs());
  expect(code, err).toBe(3);
  expect(err).toContain('etcd is missing');
  expect(err).toContain('k3s-lite components build kubernetes');
  expect(await cluster.traces()).toEqual([]);
});

test('a data directory that cannot be made: exit 3, and the message says which', async () => {
  await using cluster = await createCluster({ installation, user: plainUser });
  chmodSync(cluster.folder('data'), 0o500);
  const { code, err } = await cluster.run('up', '--disable-agent', ...cluster.portArgs());
  expect(err).toContain(cluster.paths.dataDir);
  expect(err).not.toContain('internal error');
  expect(code).toBe(3);
});
