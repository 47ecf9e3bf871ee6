/**
 * Three servers and an agent, each on a machine of its own. Every server has a member of etcd.
 *
 *   s1 begins the cluster ─► s2 and s3 join it ─► a1 joins
 *   s1 is killed with everything that it runs ─► the others go on
 *   s2 starts again, and its --server is s1 ─► it comes back by what lies on its disk
 *   all are killed ─► they are a cluster again as soon as two of them are there, in another order
 *   the Node s1 is deleted ─► its member of etcd goes with it, and joins anew without data
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { etcdTls } from '../../src/cluster/members/own-member.ts';
import { clusterRig, endRig, type ClusterRig } from '../cluster/rig/cluster-rig.ts';
import type { Machine, MachineUp } from '../cluster/rig/machine.ts';

const patience = { timeout: 90_000, interval: 500 };
const memberList = z.object({
  members: z.array(z.object({ name: z.string(), isLearner: z.boolean().default(false) })),
});
const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)('three servers', () => {
  let rig: ClusterRig;
  const running = new Map<string, MachineUp>();

  const machine = (name: string) => rig.machine(name);
  const kubectl = (on: string, ...args: string[]) => machine(on).k3sLite('kubectl', ...args);
  const token = (on: string) => path.join(machine(on).dataDir, 'given-token');
  const up = (name: string, args: readonly string[]): MachineUp => {
    const started = machine(name).up('up', [...args, '--token-file', token(name)]);
    running.set(name, started);
    return started;
  };
  const giveToken = (name: string, text: string) => writeFileSync(token(name), text, { mode: 0o600 });
  const join = (of: Machine) => ['--server', `https://${of.ip}:9345`];

  /** Source: src/cluster/cluster-dns.ts, the slice of the first server. */
  const isDnsAskedAt = (slice: string) =>
    kubectl('s3', '-n', 'kube-system', 'get', 'endpointslice', slice, '-o', 'jsonpath={.endpoints[0].conditions.ready}')
      .output;
  /** As a member on that machine says: names, and whether they vote. */
  const members = (on: string): readonly string[] => {
    const { ca, cert, key } = etcdTls(path.join(machine(on).dataDir, 'server/tls'));
    const tls = ['--cacert', String(ca), '--cert', String(cert), '--key', String(key)];
    const url = 'https://127.0.0.1:2379/v3/cluster/member/list';
    const { output } = machine(on).run('curl', '-sS', ...tls, '-X', 'POST', '-d', '{}', url);
    return memberList
      .parse(JSON.parse(output))
      .members.map(({ name, isLearner }) => `${name} ${isLearner ? 'learns' : 'votes'}`)
      .sort();
  };

  beforeAll(async () => {
    rig = await clusterRig(['s1', 's2', 's3', 'a1']);
  });
  afterAll(() => endRig(rig, running));

  test('the first begins the cluster', async () => {
    giveToken('s1', 'a-token-of-my-choice\n');
    const { events } = up('s1', ['--cluster-init']);
    await events.ready();
    expect(kubectl('s1', 'get', 'nodes', '--no-headers').output).toMatch(/^s1 +Ready /);
  });

  test('two more join it, and have a vote each', async () => {
    for (const name of ['s2', 's3']) giveToken(name, machine('s1').k3sLite('token', 'show').output);
    const ups = ['s2', 's3'].map((name) => up(name, ['--disable-agent', ...join(machine('s1'))]));
    await Promise.all(ups.map(({ events }) => events.ready()));
    expect(members('s3')).toEqual(['s1 votes', 's2 votes', 's3 votes']);
    // Each learns of all, also of who came later: nobody has told them of each other.
    for (const name of ['s1', 's2', 's3']) {
      const known = () => readFileSync(path.join(machine(name).dataDir, 'server/db/etcd-members.json'), 'utf8');
      for (const other of ['s1', 's2', 's3']) {
        await expect.poll(known, patience).toContain(`https://${machine(other).ip}:2379`);
      }
    }
  });

  test('an agent that is given the first server alone learns of the others', async () => {
    giveToken('a1', machine('s1').k3sLite('token', 'show', '--node').output);
    const agent = machine('a1').up('agent', [...join(machine('s1')), '--token-file', token('a1')]);
    running.set('a1', agent);
    await agent.events.ready();
    expect(kubectl('s2', 'get', 'nodes', '--no-headers').output).toMatch(/^a1 +Ready .*\ns1 +Ready /);
    const known = readFileSync(path.join(machine('a1').dataDir, 'agent/known-servers.json'), 'utf8');
    for (const name of ['s1', 's2', 's3']) expect(known).toContain(`https://${machine(name).ip}:9345`);
  });

  test('the first is killed with all that it runs; the others have a leader, and the API takes writes', async () => {
    machine('s1').powerOff();
    running.delete('s1');
    await expect.poll(() => kubectl('s2', 'create', 'namespace', 'after').code, patience).toBe(0);
    await expect.poll(() => kubectl('s3', 'get', 'namespace', 'after').code, patience).toBe(0);
    // A controller-manager of the others has taken over: nobody else says so.
    await expect.poll(() => kubectl('s3', 'get', 'node', 's1', '--no-headers').output, patience).toContain('NotReady');
    // Pods do not ask it for names any more.
    await expect.poll(() => isDnsAskedAt('kube-dns-host'), patience).toBe('false');
  });

  test('[H8] a server starts again while its --server is dead', async () => {
    await running.get('s2')?.interrupt();
    const { events } = up('s2', ['--disable-agent', ...join(machine('s1'))]);
    await events.ready();
    expect(events.of('notice', 'join')).toEqual([]);
    expect(members('s2')).toEqual(['s1 votes', 's2 votes', 's3 votes']);
  });

  test('[H2] an agent starts again while its --server is dead, and its node is Ready', async () => {
    await running.get('a1')?.interrupt();
    const agent = machine('a1').up('agent', [...join(machine('s1')), '--token-file', token('a1')]);
    running.set('a1', agent);
    await agent.events.ready();
    expect(kubectl('s2', 'get', 'node', 'a1', '--no-headers').output).toMatch(/^a1 +Ready /);
  });

  test('the first comes back by itself, and is Ready', async () => {
    await up('s1', ['--cluster-init']).events.ready();
    await expect
      .poll(() => kubectl('s3', 'get', 'nodes', '--no-headers').output, patience)
      .toMatch(/^a1 +Ready .*\ns1 +Ready /);
    await expect.poll(() => isDnsAskedAt('kube-dns-host'), patience).toBe('true');
  });

  test('[H8] all lose their power; the last starts first, and two of them are a cluster again', async () => {
    for (const name of ['s1', 's2', 's3']) machine(name).powerOff();
    // What a server is among others its disk says, too.
    const last = up('s3', ['--disable-agent']);
    // etcd is there, and waits for a second one as long as it takes.
    await last.events.state('etcd', 'starting');
    const second = up('s2', ['--disable-agent', ...join(machine('s1'))]);
    await Promise.all([last, second].map(({ events }) => events.ready()));
    expect(last.events.states('etcd').map(({ snapshot }) => snapshot.state)).not.toContain('backoff');
    await expect.poll(() => kubectl('s2', 'get', 'namespace', 'after').code, patience).toBe(0);
    await up('s1', ['--cluster-init']).events.ready();
    expect(members('s1')).toEqual(['s1 votes', 's2 votes', 's3 votes']);
  });

  test('deleting the Node of a server takes its vote away, and it says so when it starts again', async () => {
    await running.get('s1')?.interrupt();
    kubectl('s2', 'delete', 'node', 's1');
    await expect.poll(() => members('s2'), patience).toEqual(['s2 votes', 's3 votes']);
    const removed = up('s1', ['--cluster-init']);
    await removed.events.state('etcd-member', 'backoff');
    const [error] = removed.events.chain('etcd-member').filter(({ code }) => code === 'ERR_JOIN_REFUSED');
    expect(error?.message).toContain('it was removed from the cluster');
    await removed.interrupt();
  });

  test('and joins as a new one when its data is moved away', async () => {
    const data = path.join(machine('s1').dataDir, 'server/db/etcd');
    renameSync(data, `${data}-before`);
    await up('s1', [...join(machine('s2'))]).events.ready();
    expect(members('s2')).toEqual(['s1 votes', 's2 votes', 's3 votes']);
    await expect
      .poll(() => kubectl('s3', 'get', 'nodes', '--no-headers').output, patience)
      .toMatch(/^a1 +Ready .*\ns1 +Ready /);
  });
});
