/**
 * etcd is gone for a minute: killed, and killed again as often as it comes back. How long after its return are all
 * kinds of objects answered for again, what does the API server say meanwhile, and how long does a stop take then?
 *
 * ETCD_KILLED_ROUNDS=5 repeats the first one. Each is told in a line.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { KubeApiError, kubeClient, readCredentials, type KubeClient } from '../../src/cluster/kube-client.ts';
import { layoutOf } from '../../src/cluster/layout.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { createCluster, type Cluster } from '../cluster/kit/cluster.ts';
import { install, type Installation } from '../cluster/kit/installation.ts';
import { programsOf } from '../cluster/kit/traces.ts';

const rounds = Number(process.env['ETCD_KILLED_ROUNDS'] ?? 1);
const goneMs = 60_000;
/** As the vip-etcd test has it: within one Lease of 3 s. */
const limitMs = 3000;
/** The API server's own time to stop is 10 s (units/kube-apiserver.yaml), which it uses up without etcd, whoever stands in. */
const stopWithinMs = 14_000;
const lookEveryMs = 50;
const askWithinMs = 1000;
const now = () => systemClock.monotonicMs();
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const groupsSchema = z.object({
  groups: z.array(z.object({ preferredVersion: z.object({ groupVersion: z.string() }) })),
});
const resourcesSchema = z.object({
  resources: z.array(z.object({ name: z.string(), namespaced: z.boolean(), verbs: z.array(z.string()) })),
});

let installation: Installation;
let cluster: Cluster;
let client: KubeClient;
let up: ReturnType<Cluster['up']>;
/** A path for each kind, of an object that there is not: only etcd knows that. */
let questions: readonly string[];

beforeAll(async () => {
  installation = await install();
  cluster = await createCluster({ installation });
  up = cluster.up(['--disable-agent', '--disable', 'kube-controller-manager', '--disable', 'kube-scheduler']);
  await up.events.ready();
  const tls = layoutOf({ dataDir: cluster.paths.dataDir, runDir: '' }).serverTls;
  const url = `https://127.0.0.1:${String(cluster.port('https-listen-port'))}`;
  client = kubeClient(await readCredentials(url, tls, 'client-admin'), systemClock);
  const { groups } = groupsSchema.parse(await client.get('/apis', AbortSignal.timeout(10_000)));
  const versions = ['/api/v1', ...groups.map(({ preferredVersion }) => `/apis/${preferredVersion.groupVersion}`)];
  const found = await Promise.all(
    versions.map(async (version) => {
      const { resources } = resourcesSchema.parse(await client.get(version, AbortSignal.timeout(10_000)));
      return resources
        .filter(({ name, verbs }) => verbs.includes('get') && !name.includes('/') && name !== 'componentstatuses')
        .map(({ name, namespaced }) => `${version}/${namespaced ? 'namespaces/default/' : ''}${name}/no-such-object`);
    }),
  );
  questions = found.flat();
  expect(questions.length).toBeGreaterThan(40);
});
afterAll(async () => {
  (client as KubeClient | undefined)?.[Symbol.dispose]();
  await (cluster as Cluster | undefined)?.[Symbol.asyncDispose]();
  installation[Symbol.dispose]();
});

const isAnswered = (path: string): Promise<boolean> =>
  client.get(path, AbortSignal.timeout(askWithinMs)).then(
    () => true,
    (error: unknown) => error instanceof KubeApiError && error.status === 404,
  );
const killEtcd = () => {
  for (const pid of programsOf(cluster.paths, 'etcd')) process.kill(pid, 'SIGKILL');
};
const killFor = async (ms: number) => {
  const untilMs = now() + ms;
  while (now() < untilMs) {
    killEtcd();
    await pause(lookEveryMs);
  }
};
const etcdAnswers = async () => {
  const url = `http://127.0.0.1:${String(cluster.port('etcd-metrics-port'))}/health`;
  const answers = () =>
    fetch(url).then(
      ({ ok }) => ok,
      () => false,
    );
  await expect.poll(answers, { timeout: 60_000, interval: 20 }).toBe(true);
};
/** How long an answer takes, and which it is. */
const told = async (path: string, withinMs = 20_000) => {
  const fromMs = now();
  const said = await client.get(path, AbortSignal.timeout(withinMs)).then(
    () => 'ok',
    (error: unknown) => (error instanceof KubeApiError ? String(error.status) : 'nothing'),
  );
  return `${said} in ${((now() - fromMs) / 1000).toFixed(1)} s`;
};

test('it is killed for a minute: all kinds of objects are answered for soon after its return', async () => {
  const tookMs: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await expect.poll(() => Promise.all(questions.map(isAnswered)), { timeout: 120_000 }).not.toContain(false);
    const before = programsOf(cluster.paths, 'kube-apiserver');
    const killing = killFor(goneMs);
    await pause(goneMs / 2);
    const [ready, live, read, timed] = await Promise.all([
      told('/readyz'),
      told('/livez'),
      told(questions[0] ?? ''),
      told(`${questions[1] ?? ''}?timeout=3s`),
    ]);
    await killing;
    const killedMs = now();
    await etcdAnswers();
    const backMs = now();
    const eachMs = await Promise.all(
      questions.map(async (path) => {
        while (!(await isAnswered(path))) await pause(lookEveryMs);
        return now() - backMs;
      }),
    );
    eachMs.sort((a, b) => a - b);
    tookMs.push(eachMs.at(-1) ?? Infinity);
    console.info(
      `round ${String(round)}: meanwhile /readyz ${ready}, /livez ${live}, a read ${read}, one of 3 s ${timed}; etcd back ` +
        `${((backMs - killedMs) / 1000).toFixed(1)} s after the last kill, first kind ${String(Math.round(eachMs[0] ?? 0))} ms after ` +
        `that, half ${String(Math.round(eachMs[eachMs.length >> 1] ?? 0))} ms, all ${String(Math.round(tookMs.at(-1) ?? 0))} ms`,
    );
    // As long as one that its health check has ordered would take.
    await pause(10_000);
    expect(programsOf(cluster.paths, 'kube-apiserver'), 'it was not restarted').toEqual(before);
  }
  expect(Math.max(...tookMs)).toBeLessThan(limitMs);
});

test('while it is gone a stop takes no longer than otherwise', async () => {
  const killing = killFor(15_000);
  await pause(5000);
  const asking = questions.slice(0, 5).map((path) => told(path));
  await pause(500);
  const fromMs = now();
  const ended = await up.interrupt('SIGTERM');
  const tookMs = now() - fromMs;
  await Promise.all([killing, ...asking]);
  console.info(`a stop took ${(tookMs / 1000).toFixed(1)} s`);
  expect(ended.code).toBe(0);
  expect(await cluster.traces()).toEqual([]);
  expect(tookMs).toBeLessThan(stopWithinMs);
});
