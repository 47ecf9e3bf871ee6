/**
 * A server of three whose etcd is restarted while the two others are off: it has no quorum and goes on starting until one
 * of them is back. How long after that does the API of this server answer for several kinds of objects, and is it restarted?
 *
 *   s1: etcd ready ─► restarted: starting … ─► ready ─► kube-apiserver goes on, or after two minutes: restarted
 *   s2, s3: off                             └─ s2 is switched on
 *
 * The times of each are told in a line.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { longStartMs } from '../../src/app/long-start-of-etcd.ts';
import { clientProcess, type ClientProcess } from '../cluster/kit/client-process.ts';
import type { EventLog, StateTold } from '../cluster/kit/event-log.ts';
import { clusterRig, endRig, type ClusterRig } from '../cluster/rig/cluster-rig.ts';
import type { MachineUp } from '../cluster/rig/machine.ts';

const isRoot = process.getuid?.() === 0;
const patience = { timeout: 120_000, interval: 250 };
/** Source: src/app/flags.ts, --https-listen-port. */
const apiPort = 6443;
const lists = [
  ...['pods', 'nodes', 'configmaps', 'secrets', 'services', 'namespaces'].map((kind) => `/api/v1/${kind}`),
  '/apis/coordination.k8s.io/v1/leases',
  '/apis/discovery.k8s.io/v1/endpointslices',
  '/apis/apps/v1/deployments',
];
/** Afterwards nothing may fail for so long, as long as one that a health check has ordered would take. */
const quietMs = 20_000;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

const answerSchema = z.object({ path: z.string(), atMs: z.number(), why: z.string().optional() });
type Answer = z.infer<typeof answerSchema>;

describe.skipIf(!isRoot)('etcd of a server that has no quorum', () => {
  let rig: ClusterRig;
  let client: ClientProcess;
  const running = new Map<string, MachineUp>();
  const answers: Answer[] = [];

  const tokenFile = (name: string) => path.join(rig.machine(name).dataDir, 'given-token');
  const up = (name: string): EventLog => {
    const how = name === 's1' ? ['--cluster-init'] : ['--server', `https://${rig.machine('s1').ip}:9345`];
    const started = rig.machine(name).up('up', [...how, '--disable-agent', '--token-file', tokenFile(name)]);
    running.set(name, started);
    return started.events;
  };
  const of = (list: string, fromMs: number) => answers.filter((one) => one.path === list && one.atMs > fromMs);
  const areAnswered = () =>
    lists.every((list) => {
      const last = answers.findLast((one) => one.path === list);
      return last !== undefined && last.why === undefined;
    });
  /** From when on no question of a kind fails any more, after `fromMs`. */
  const answeredMs = (list: string, fromMs: number): number => {
    const later = of(list, fromMs);
    const lastBad = later.findLastIndex(({ why }) => why !== undefined);
    return (later[lastBad + 1]?.atMs ?? Infinity) - fromMs;
  };

  beforeAll(async () => {
    const names = ['s1', 's2', 's3'];
    rig = await clusterRig(names);
    for (const name of names) writeFileSync(tokenFile(name), 'a-token-of-my-choice\n', { mode: 0o600 });
    await up('s1').ready();
    await Promise.all([up('s2').ready(), up('s3').ready()]);
    const { dataDir, enter } = rig.machine('s1');
    const onLine = (line: string) => answers.push(answerSchema.parse(JSON.parse(line)));
    client = clientProcess({
      script: 'ask-kinds.mjs',
      tls: path.join(dataDir, 'server/tls'),
      port: apiPort,
      more: lists,
      enter,
      onLine,
    });
  });
  afterAll(async () => {
    (client as ClientProcess | undefined)?.[Symbol.dispose]();
    await endRig(rig, running);
  });

  test.each([
    // A pause that is under way by then, of 8 s at most (docs/virtual-ips-operations.md), and the questions before and after.
    ['less', 90_000, false, 10_000],
    // A stop of 10 s at most (units/kube-apiserver.yaml), and a start on a busy machine.
    ['more', 130_000, true, 40_000],
  ] as const)('is starting for %s than two minutes', async (_how, aloneMs, isRestarted, limitMs) => {
    await expect.poll(areAnswered, patience).toBe(true);
    const events = running.get('s1')?.events ?? up('s1');
    const since = events.count;
    const sinceSeq = events.all.at(-1)?.seq ?? 0;
    const apiServers = () => events.of('process.spawned', 'kube-apiserver').filter(({ seq }) => seq > sinceSeq);
    for (const name of ['s2', 's3']) rig.machine(name).powerOff();
    expect(rig.machine('s1').k3sLite('restart', 'etcd', '--no-wait').code).toBe(0);
    const starting: StateTold = await events.state('etcd', 'starting', since);
    await pause(aloneMs);
    // Told more than once: of a start that goes on there is news, too.
    const goneOn = () =>
      events.states('etcd').find((told) => told.seq > starting.seq && told.snapshot.state !== 'starting');
    expect(goneOn()?.snapshot, 'it is starting all the time').toBeUndefined();
    expect(apiServers(), 'the API server goes on meanwhile').toEqual([]);
    const meanwhile = [...new Set(answers.slice(-lists.length).map(({ why }) => why ?? 'answered'))].join(', ');

    const other = up('s2');
    const ready = await events.state('etcd', 'ready', since);
    const readyMs = Date.now();
    expect(goneOn()?.seq, 'in one start').toBe(ready.seq);
    const startingMs = ready.monotonicMs - starting.monotonicMs;
    expect(startingMs > longStartMs, seconds(startingMs)).toBe(isRestarted);

    const isOver = () => lists.every((list) => answeredMs(list, readyMs) + readyMs < Date.now() - quietMs);
    await expect.poll(isOver, patience).toBe(true);
    const tookMs = lists.map((list) => answeredMs(list, readyMs)).sort((a, b) => a - b);
    const reasons = new Map<string, number>();
    for (const { why } of lists.flatMap((list) => of(list, readyMs)))
      if (why !== undefined) reasons.set(why, (reasons.get(why) ?? 0) + 1);
    const notices = events
      .of('notice')
      .filter(({ seq }) => seq > sinceSeq)
      .map(({ event }) => String(event['text']))
      .filter((text) => text.includes('kube-apiserver'));
    const states = events
      .states('kube-apiserver')
      .filter(({ seq }) => seq > sinceSeq)
      .map(({ monotonicMs, snapshot }) => `${snapshot.state} ${seconds(monotonicMs - ready.monotonicMs)}`);
    console.info(
      `etcd was starting for ${seconds(startingMs)} (${meanwhile}); the first kind of ${String(lists.length)} answered ` +
        `${seconds(tookMs[0] ?? 0)} after it was ready, half ${seconds(tookMs[tookMs.length >> 1] ?? 0)}, all ` +
        `${seconds(tookMs.at(-1) ?? 0)}; until then ${JSON.stringify(Object.fromEntries(reasons))}; kube-apiserver: ` +
        `${states.join(', ') || 'goes on'}; ${notices.join('; ') || 'nothing said'}`,
    );
    expect(apiServers().length, 'restarts of the API server').toBe(isRestarted ? 1 : 0);
    const restarts = notices.filter((text) => /^etcd was starting for .*: kube-apiserver is restarted/.test(text));
    expect(restarts.length, notices.join('; ')).toBe(isRestarted ? 1 : 0);
    expect(tookMs.at(-1)).toBeLessThan(limitMs);
    await other.ready();
    await up('s3').ready();
  });
});
