/**
 * The real control plane, as root and as a plain user, from nothing to a clean stop and back.
 *
 *   certificates ─► etcd ─► kube-apiserver ─┬─► kube-controller-manager
 *        └────► kubeconfigs ────────────────┼─► kube-scheduler
 *                                           └─► manifests (needs no kubeconfigs; rests, as there is no file)
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { install, type Installation } from './kit/installation.ts';
import { createCluster, type Cluster, type Up } from './kit/cluster.ts';
import type { Told } from './kit/event-log.ts';
import { processesOf } from './kit/traces.ts';
import { rowsOf } from '../kit/matrix.ts';
import { plainUser, users } from './kit/user.ts';

const processes = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'];
const tasks = ['certificates', 'kubeconfigs', 'namespace-defaults', 'scheduler-role'];

const analyzeSchema = z.object({ ready: z.boolean(), 'critical-chain': z.unknown() });
const graphSchema = z.object({ units: z.array(z.object({ name: z.string(), state: z.string() })) });

let installation: Installation;
beforeAll(async () => {
  installation = await install();
});
afterAll(() => installation[Symbol.dispose]());

// As root it runs in most other files.
const tried = rowsOf(users, (user) => user === plainUser);
describe.each(tried.map((user) => [user.name, user] as const))('the control plane of %s', (_name, user) => {
  let cluster: Cluster;
  let up: Up;
  const at = (told: Told | undefined) => told?.monotonicMs ?? Number.NaN;

  beforeAll(async () => {
    cluster = await createCluster({ installation, user });
    up = cluster.up();
    await up.events.ready();
  });
  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  test('[C6] `up` brings it to ready, and kubectl agrees', async () => {
    expect(await cluster.kubectl('get', '--raw', '/readyz')).toMatchObject({ code: 0, out: 'ok' });
    expect((await cluster.status()).ready).toBe(true);
  });

  test('[C4] each process is started only after what it needs was ready', () => {
    const readyAt = (unit: string) => at(up.events.states(unit).find(({ snapshot }) => snapshot.state === 'ready'));
    const doneAt = (unit: string) => at(up.events.states(unit).find(({ snapshot }) => snapshot.state === 'done'));
    const spawnedAt = (unit: string) => at(up.events.of('process.spawned', unit)[0]);
    expect(spawnedAt('etcd')).toBeGreaterThan(doneAt('certificates'));
    expect(spawnedAt('kube-apiserver')).toBeGreaterThan(readyAt('etcd'));
    for (const unit of ['kube-controller-manager', 'kube-scheduler'])
      expect(spawnedAt(unit), unit).toBeGreaterThan(doneAt('kubeconfigs'));
    expect(spawnedAt('kube-controller-manager')).toBeGreaterThan(readyAt('kube-apiserver'));
    // What it needs of the API server is less than all of it: that it may read.
    expect(spawnedAt('kube-scheduler')).toBeGreaterThan(doneAt('scheduler-role'));
    expect(doneAt('scheduler-role')).toBeGreaterThan(at(up.events.of('process.spawned', 'kube-apiserver')[0]));
    expect(up.events.of('process.spawned')).toHaveLength(processes.length);
  });

  test('[S9] a dependent is spawned at once when its last gate opens, not at the next poll', () => {
    const delaysMs = processes.map((unit) => {
      const [gate] = up.events.of('unit.gate', unit).filter(({ event }) => event['last'] === true);
      const [spawned] = up.events.of('process.spawned', unit);
      return at(spawned) - at(gate);
    });
    // A supervisor that polls once a second takes 500 ms on average; one of them may have waited for a core.
    const median = delaysMs.toSorted((a, b) => a - b)[Math.floor(delaysMs.length / 2)];
    expect(median, delaysMs.join()).toBeLessThan(250);
    for (const delayMs of delaysMs) {
      expect(delayMs, delaysMs.join()).toBeLessThan(1250);
    }
  });

  test('[S1] the API server is checked by one series of attempts, however many wait for it', () => {
    const attempts = up.events.of('probe.attempt').filter(({ event }) => event['phase'] === 'ready');
    const series = attempts.filter(({ event }) => event['check'] === 'https /readyz');
    expect(new Set(series.map(({ event }) => event['unit']))).toEqual(new Set(['kube-apiserver']));
    // Three waited: two units and `up` itself. Attempts of a second series would repeat or overlap.
    expect(series.map(({ event }) => event['count'])).toEqual(series.map((_, index) => index + 1));
    const spans = series.map(({ event }) => event['attempt'] as { at: number; ms: number; outcome: string });
    for (const [index, span] of spans.slice(1).entries()) {
      const before = spans[index];
      expect(span.at).toBeGreaterThanOrEqual((before?.at ?? 0) + (before?.ms ?? 0) - 1);
    }
    expect(spans.filter(({ outcome }) => outcome === 'ok')).toHaveLength(1);
  });

  test('[S8] its state, since when and for how long are told at any time, and where the start’s time went', async () => {
    const { units: all, now, instance } = await cluster.status();
    const units = all.filter(({ unit }) => unit !== 'manifests');
    expect(all.find(({ unit }) => unit === 'manifests')).toMatchObject({ state: 'inactive', desired: 'down' });
    expect(instance).toMatchObject({ pid: up.pid, dataDir: cluster.paths.dataDir });
    expect(units.map(({ unit }) => unit).sort()).toEqual([...processes, ...tasks].sort());
    for (const { unit, state, since, readyAt, pid } of units) {
      expect(state, unit).toBe(processes.includes(unit) ? 'ready' : 'done');
      expect(since.monotonicMs, unit).toBeLessThan(now.monotonicMs);
      expect(readyAt, unit).toBeDefined();
      expect(pid !== undefined, unit).toBe(processes.includes(unit));
    }
    const waiting = up.events.states('kube-scheduler').find(({ snapshot }) => snapshot.waitingFor.length > 0);
    expect(waiting?.snapshot.waitingFor.map(({ unit }) => unit)).toEqual([
      'kubeconfigs',
      'kube-apiserver',
      'scheduler-role',
    ]);

    const analyzed = await cluster.run('analyze', 'critical-chain', '--json');
    const { 'critical-chain': chain, ready } = analyzeSchema.parse(JSON.parse(analyzed.out));
    expect(ready).toBe(true);
    expect(JSON.stringify(chain)).toMatch(/certificates.*etcd.*kube-apiserver/);
  });

  test('why, logs and graph --live speak of the running one', async () => {
    const why = await cluster.run('why', 'kube-scheduler');
    expect(why).toMatchObject({ code: 0, err: '' });
    expect(why.out).toMatch(
      /^kube-scheduler is ready, for .*, pid \d+\n├─ kubeconfigs done, .*\n├─ kube-apiserver ready, .*\n└─ scheduler-role done/,
    );
    const logs = await cluster.run('logs', 'kube-apiserver', '--lines', '3');
    expect(logs.out.trimEnd().split('\n')).toHaveLength(3);
    const live = await cluster.run('graph', '--live', '--format', 'json');
    expect(graphSchema.parse(JSON.parse(live.out)).units).toContainEqual({ name: 'etcd', state: 'ready' });
    const unknown = await cluster.run('why', 'kube-schedular');
    expect(unknown.code).toBe(3);
    expect(unknown.err).toContain('did you mean "kube-scheduler"?');
  });

  test('a component that is killed is started again at once, and what needs it stays up', async () => {
    const pidOf = (unit: string) => up.events.of('process.spawned', unit).at(-1)?.event['pid'] as number;
    const [etcd, apiServer] = [pidOf('etcd'), pidOf('kube-apiserver')];
    const since = up.events.count;
    process.kill(etcd, 'SIGKILL');
    await up.events.until(({ event }) => event.type === 'up.lost' && event['unit'] === 'etcd', 'its loss', since);
    await up.events.ready(since);
    expect(pidOf('etcd')).not.toBe(etcd);
    expect(pidOf('kube-apiserver')).toBe(apiServer);
    expect(up.events.error('etcd')).toMatchObject({ code: 'ERR_EXITED', exit: { kind: 'signal', signal: 'SIGKILL' } });
    await expect.poll(() => cluster.kubectl('get', '--raw', '/readyz')).toMatchObject({ code: 0, out: 'ok' });
  });

  test('Ctrl-C ends everything in the stop order, etcd last, and leaves nothing', async () => {
    await cluster.kubectl('create', 'configmap', 'kept', '--from-literal=answer=42');
    const stopped = up.events.until(({ event }) => event.type === 'down.finished', 'the end').then(() => Date.now());
    expect(await up.interrupt('SIGINT')).toMatchObject({ code: 0, err: '' });
    // Nothing that is still waited for keeps the process.
    expect(Date.now() - (await stopped)).toBeLessThan(10_000);
    const stopSeq = up.events.of('down.started')[0]?.seq ?? 0;
    const exits = up.events.of('process.exited').filter(({ seq }) => seq > stopSeq);
    const names = exits.map(({ event }) => event['unit']);
    expect([...names].sort()).toEqual(processes);
    expect(names.slice(-2)).toEqual(['kube-apiserver', 'etcd']);
    expect(up.events.all.at(-1)?.event).toMatchObject({ type: 'down.finished', leftovers: [] });
    expect(await cluster.traces()).toEqual([]);
  });

  test('`up --wait` returns when it is ready and leaves it running, with all objects still there', async () => {
    const waited = await cluster.run('up', '--disable-agent', '--wait', ...cluster.portArgs());
    expect(waited, waited.err).toMatchObject({ code: 0 });
    expect(waited.out).toContain('everything is ready');
    expect(waited.out).toContain(`kubeconfig      ${cluster.paths.dataDir}/k3s-lite.yaml`);
    expect(waited.out.includes('a full node needs root')).toBe(user.uid !== 0);
    const kept = await cluster.kubectl('get', 'configmap', 'kept', '-o', 'jsonpath={.data.answer}');
    expect(kept).toMatchObject({ code: 0, out: '42' });
  });

  test('a second `up` on the same data is refused, names the first, and harms nothing', async () => {
    const { pid } = (await cluster.status()).instance;
    const second = await cluster.run('up', '--disable-agent', ...cluster.portArgs());
    expect(second).toMatchObject({ code: 3, out: '' });
    expect(second.err).toContain(`is held by another k3s-lite: pid ${pid}`);
    expect((await cluster.status()).ready).toBe(true);
  });

  test('after kill -9 of k3s-lite the next `up` adopts what runs on, and becomes ready', async () => {
    const { pid } = (await cluster.status()).instance;
    const left = processesOf(cluster.paths).map((one) => one.pid);
    process.kill(pid, 'SIGKILL');
    await expect.poll(() => processesOf(cluster.paths).map((one) => one.pid)).not.toContain(pid);
    expect((await cluster.run('status')).code).toBe(4);

    const again = cluster.up();
    await again.events.ready();
    const adopted = again.events.of('process.adopted');
    expect(adopted.map(({ event }) => event['unit']).sort()).toEqual(processes);
    expect([...adopted.map(({ event }) => event['pid'] as number), pid].sort()).toEqual(left.sort());
    expect(again.events.of('leftover.found')).toEqual([]);

    expect(await cluster.run('down')).toMatchObject({ code: 0 });
    expect(await again.ended).toMatchObject({ code: 0 });
    expect(await cluster.traces()).toEqual([]);
  });

  test('Ctrl-C while it starts stops what has started, and exits with 130', async () => {
    const starting = cluster.up();
    const isSpawned = ({ event }: Told) => event.type === 'process.spawned' && event['unit'] === 'kube-apiserver';
    await starting.events.until(isSpawned, 'the start of kube-apiserver');
    expect((await starting.interrupt('SIGINT')).code).toBe(130);
    expect(starting.events.of('up.ready')).toEqual([]);
    expect(await cluster.traces()).toEqual([]);
  });
});
