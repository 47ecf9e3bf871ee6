/** Control of the real control plane: single units, cascades, and reloads of good, broken and unreadable files. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCluster, type Cluster } from './kit/cluster.ts';
import { install, type Installation } from './kit/installation.ts';

let installation: Installation;
let cluster: Cluster;
/** The configuration that a reload reads anew. */
let file: string;
beforeAll(async () => {
  installation = await install();
  cluster = await createCluster({ installation });
  file = path.join(cluster.folder('config'), 'config.yaml');
  writeFileSync(file, '');
  await cluster.up(['--disable-agent', '--config', file]).events.ready();
});
afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  installation[Symbol.dispose]();
});

const pids = async () =>
  Object.fromEntries(
    (await cluster.status()).units.flatMap(({ unit, pid }) => (pid === undefined ? [] : [[unit, pid] as const])),
  );
const scheduler = 'kube-scheduler';
const rest = async () => {
  const { [scheduler]: _own, ...others } = await pids();
  return others;
};

test('[S8] restart of kube-scheduler gives it another process and leaves the others theirs', async () => {
  const [before, others] = [await pids(), await rest()];
  expect(await cluster.run('restart', scheduler)).toMatchObject({ code: 0 });
  expect(await rest()).toEqual(others);
  expect((await pids())[scheduler]).not.toBe(before[scheduler]);
});

test('[S8] a reload restarts what changed alone, rolls back what fails, and ignores what it cannot read', async () => {
  const others = await rest();
  writeFileSync(file, 'kube-scheduler-arg: [v=3]\n');
  const first = (await pids())[scheduler];
  expect(await cluster.run('reload')).toMatchObject({ code: 0, out: expect.stringContaining(scheduler) as string });
  const second = (await pids())[scheduler];
  expect(second).not.toBe(first);

  writeFileSync(file, 'kube-scheduler-arg: [no-such-flag=1]\n');
  const broken = await cluster.run('reload');
  expect(broken.code).toBe(4);
  expect(broken.err).toContain('unknown flag: --no-such-flag');
  const third = (await pids())[scheduler];
  expect(third).not.toBe(second);
  expect((await cluster.status()).ready).toBe(true);

  writeFileSync(file, 'kube-scheduler-arg: [\n');
  const unreadable = await cluster.run('reload');
  expect(unreadable.code).toBe(3);
  expect(unreadable.err).toContain(file);
  expect((await pids())[scheduler]).toBe(third);
  expect(await rest()).toEqual(others);
});

test('[S8] etcd is not stopped under kube-apiserver; with --cascade all that need it stop first, and start again', async () => {
  const before = await pids();
  const refused = await cluster.run('stop', 'etcd');
  expect(refused.code).toBe(2);
  expect(refused.err).toContain('kube-apiserver');
  expect(await pids()).toEqual(before);
  expect(await cluster.run('stop', '--cascade', 'etcd')).toMatchObject({ code: 0 });
  expect(await pids()).toEqual({});
  expect((await cluster.run('why', 'kube-apiserver')).out).toContain('stopped by the user');
  const all = ['kube-controller-manager', scheduler];
  expect(await cluster.run('start', ...all)).toMatchObject({ code: 0 });
  expect(Object.keys(await pids()).sort()).toEqual(Object.keys(before).sort());
  expect(await cluster.kubectl('get', '--raw', '/readyz')).toMatchObject({ code: 0, out: 'ok' });
});
