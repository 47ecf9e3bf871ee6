/**
 * The table of failures in docs/guide.md, those of its rows that no other test has: what goes on when
 * servers are lost, and for how long not. What was measured is printed.
 *
 *   s1, s2, s3   servers with etcd and a node each      one that leads everything loses its power; two of them;
 *   a1           a node with a web pod and a client     all three; one is cut off while no controller-manager lives
 *
 * Each test leaves everything well, so that one of them can be run alone.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { busyboxImage } from '../../src/cluster/first-pod.ts';
import { etcdTls } from '../../src/cluster/members/own-member.ts';
import { putBusyboxImage } from '../cluster/kit/busybox-image.ts';
import {
  serverNames,
  threeServers,
  type ThreeServers,
  type ThreeServersOptions,
} from '../cluster/kit/three-servers.ts';
import { webContainer, webPort } from '../cluster/kit/web-container.ts';

const isRoot = process.getuid?.() === 0;
type Server = (typeof serverNames)[number];
/** Source: Kubernetes, a Node is given up after 40 to 50 s. */
const patience = { timeout: 180_000, interval: 250 };
const limitMs = 230_000;
/** Asked at once, each from a port of its own. */
const questions = 30;
/** About 8 s are expected, five times as wide; Kubernetes itself would know after 70 s. */
const knownWithinMs = 40_000;
/** Source: Kubernetes, `--node-monitor-grace-period`. */
const graceMs = 50_000;
const leases = ['kube-controller-manager', 'kube-scheduler'] as const;
const etcdStatus = z.object({ header: z.object({ member_id: z.string() }), leader: z.string().optional() });

describe.skipIf(!isRoot)('what goes on while servers are lost', () => {
  let rig: ThreeServers;
  const machine = (name: string) => rig.machine(name);
  /** No request hangs longer than what waits for it. */
  const kubectl = (on: string, ...args: string[]) =>
    machine(on)
      .k3sLite('kubectl', '--request-timeout=5s', ...args)
      .output.trim();
  const powerOff = (name: Server) => {
    machine(name).powerOff();
    rig.running.delete(name);
  };
  const othersThan = (name: Server): [Server, Server] => {
    const [one = 's1', other = 's1'] = serverNames.filter((each) => each !== name);
    return [one, other];
  };
  const canWrite = (on: string) =>
    kubectl(on, 'annotate', '--overwrite', 'namespace', 'default', `asked-at=${String(Date.now())}`).includes(
      'annotated',
    );
  const leaderOf = (lease: string, from: string): string =>
    kubectl(from, '-n', 'kube-system', 'get', 'lease', lease, '-o', 'jsonpath={.spec.holderIdentity}').replace(
      /_.*/s,
      '',
    );

  const etcd = (on: string, method: string, body: object): string => {
    const { ca, cert, key } = etcdTls(path.join(machine(on).dataDir, 'server/tls'));
    const tls = ['--cacert', String(ca), '--cert', String(cert), '--key', String(key)];
    const url = `https://127.0.0.1:2379/v3/maintenance/${method}`;
    return machine(on).run('curl', '-sS', '-m', '5', ...tls, '-X', 'POST', '-d', JSON.stringify(body), url).output;
  };
  const member = (on: string) => etcdStatus.parse(JSON.parse(etcd(on, 'status', {})));
  const hasEtcdLead = (on: string) => member(on).leader === member(on).header.member_id;
  const active = () =>
    rig
      .states()
      .find(({ state }) => state === 'active')
      ?.address.split(':')[0];

  /** Everything of Kubernetes that can lead or be used leads and is used there. */
  const makeFirst = async (name: Server) => {
    const leads = serverNames.find(hasEtcdLead);
    if (leads !== name) etcd(leads ?? name, 'transfer-leadership', { targetID: member(name).header.member_id });
    await expect.poll(() => hasEtcdLead(name), patience).toBe(true);
    const others = othersThan(name);
    for (const other of others) machine('a1').k3sLite('lb', 'drain', `${machine(other).ip}:6443`, '--grace', '0s');
    await expect.poll(active, patience).toBe(machine(name).ip);
    for (const other of others) machine('a1').k3sLite('lb', 'undrain', `${machine(other).ip}:6443`);
    await expect.poll(() => rig.wellOnes(), patience).toBe(3);
  };

  /** How many of the questions to cluster DNS are answered, by a node that asks its service. */
  const answeredByDns = (): number => {
    const script = `const { Resolver } = require('node:dns').promises;
      const ask = () => {
        const one = new Resolver({ timeout: 1000, tries: 1 });
        one.setServers(['10.43.0.10']);
        return one.resolve4('web.default.svc.cluster.local').then(() => 1, () => 0);
      };
      Promise.all(Array.from({ length: ${String(questions)} }, ask)).then((all) => console.log(all.filter(Boolean).length));`;
    return Number(machine('a1').run(process.execPath, '-e', script).output);
  };
  /** By slice, whether each server is asked. */
  const dnsServers = (from: string): readonly string[] =>
    kubectl(
      ...([from, '-n', 'kube-system', 'get', 'endpointslices', '-l', 'kubernetes.io/service-name=kube-dns'] as const),
      ...['-o', 'jsonpath={.items[*].endpoints[*].conditions.ready}'],
    ).split(' ');
  let webIps = { pod: '', service: '' };
  const web = (ip: string, port: number) =>
    machine('a1').run('curl', '-s', '-m', '3', `http://${ip}:${String(port)}/`).output;
  const webAnswers = () => [web(webIps.pod, webPort), web(webIps.service, 80)].map((text) => text.trim());
  const webLife = () =>
    kubectl('s1', 'get', 'pod', 'web', '-o', 'jsonpath={.metadata.uid} {.status.containerStatuses[0].restartCount}');

  /** A pod with a service in front of it, made by the first test that is run. */
  const haveWeb = async () => {
    if (webIps.pod !== '') return;
    const meta = { name: 'web', labels: { app: 'web' } };
    const spec = { nodeName: 'a1', terminationGracePeriodSeconds: 0, containers: [webContainer('still-here')] };
    const items = [
      { apiVersion: 'v1', kind: 'Pod', metadata: meta, spec },
      {
        ...{ apiVersion: 'v1', kind: 'Service', metadata: meta },
        spec: { selector: meta.labels, ports: [{ port: 80, targetPort: webPort }] },
      },
    ];
    const file = path.join(machine('s1').dataDir, 'web.json');
    writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    await expect.poll(() => machine('s1').k3sLite('kubectl', 'apply', '-f', file).code, patience).toBe(0);
    await expect
      .poll(() => kubectl('s1', 'get', 'pod', 'web', '-o', 'jsonpath={.status.podIP}'), patience)
      .not.toBe('');
    webIps = {
      pod: kubectl('s1', 'get', 'pod', 'web', '-o', 'jsonpath={.status.podIP}'),
      service: kubectl('s1', 'get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}'),
    };
    await expect.poll(webAnswers, patience).toEqual(['still-here', 'still-here']);
    await expect.poll(answeredByDns, patience).toBe(questions);
  };

  beforeAll(async () => {
    const prepare: ThreeServersOptions['prepare'] = (on) => putBusyboxImage(on('a1').dataDir, busyboxImage);
    rig = await threeServers({ hasNodes: true, prepare, patience });
  });
  afterAll(() => (rig as ThreeServers | undefined)?.[Symbol.asyncDispose]());

  test(
    'one of three, which leads everything, loses its power: others lead, and take writes',
    { timeout: limitMs },
    async () => {
      await haveWeb();
      const lost = serverNames.find((name) => name === leaderOf('kube-controller-manager', 's1')) ?? 's1';
      const [other] = othersThan(lost);
      await makeFirst(lost);
      const led = leases.filter((lease) => leaderOf(lease, other) === lost);
      expect(led).toContain('kube-controller-manager');
      using asking = rig.client();
      await rig.askedMore(asking, 20);
      const cutMs = performance.now();
      const since = () => `${((performance.now() - cutMs) / 1000).toFixed(1)} s`;
      powerOff(lost);
      const dnsThen = answeredByDns();
      await expect.poll(answeredByDns, { timeout: knownWithinMs, interval: 250 }).toBe(questions);
      console.log(`cluster DNS: ${String(dnsThen)} of ${String(questions)} at first, all after ${since()}`);
      await rig.askedMore(asking, 100);
      for (const lease of led) {
        await expect.poll(() => leaderOf(lease, other), patience).not.toBe(lost);
        console.log(`${lease}: another leads after ${since()}`);
        // About 20 s are expected.
        if (performance.now() - cutMs > 60_000) {
          for (const name of othersThan(lost)) console.log(machine(name).k3sLite('logs', '-n', '30', lease).output);
        }
      }
      const outcome = await asking.end();
      const { read, write } = outcome.longestGapMs;
      console.log(
        `client: ${outcome.text}; without an answer at most ${String(read)} (reads), ${String(write)} ms (writes)`,
      );
      for (const failed of outcome.failed) console.log(`  ${failed}`);
      if (outcome.failed.length > 0) console.log(machine('a1').k3sLite('lb', 'events').output);
      // 2 s are demanded; five times as wide, because machines are shared.
      expect(Math.max(read, write)).toBeLessThan(10_000);
      expect(active()).not.toBe(machine(lost).ip);
      expect(webAnswers()).toEqual(['still-here', 'still-here']);
      await expect.poll(() => kubectl(other, 'get', 'node', lost, '--no-headers'), patience).toContain('NotReady');
      console.log(`${lost} is NotReady after ${since()}`);
      await rig.up(lost).events.ready();
      await expect.poll(() => rig.wellOnes(), patience).toBe(3);
      // It is asked again, too.
      await expect.poll(() => dnsServers(other), patience).toEqual(['true', 'true', 'true']);
      expect(answeredByDns()).toBe(questions);
    },
  );

  test(
    'two of three lose their power: pods and services go on, no write does, until a second one is back',
    { timeout: limitMs },
    async () => {
      await haveWeb();
      const before = webLife();
      for (const name of ['s2', 's3'] as const) powerOff(name);
      expect(webAnswers()).toEqual(['still-here', 'still-here']);
      expect(canWrite('s1')).toBe(false);
      console.log(`two of three off: cluster DNS answers ${String(answeredByDns())} of ${String(questions)}`);
      expect(webAnswers()).toEqual(['still-here', 'still-here']);
      const cutMs = performance.now();
      const second = rig.up('s2');
      await expect.poll(() => canWrite('s1'), patience).toBe(true);
      console.log(`a write, ${((performance.now() - cutMs) / 1000).toFixed(1)} s after the second one was started`);
      await second.events.ready();
      await rig.up('s3').events.ready();
      await expect.poll(answeredByDns, patience).toBe(questions);
      expect(webLife()).toBe(before);
    },
  );

  test(
    'all lose their power: pods and services go on; two of them are a cluster again',
    { timeout: limitMs },
    async () => {
      await haveWeb();
      const before = webLife();
      for (const name of serverNames) powerOff(name);
      expect(webAnswers()).toEqual(['still-here', 'still-here']);
      console.log(`all servers off: cluster DNS answers ${String(answeredByDns())} of ${String(questions)}`);
      const last = rig.up('s3');
      // It waits for a second one; what runs is not touched by that.
      await last.events.state('etcd', 'starting');
      expect(webAnswers()).toEqual(['still-here', 'still-here']);
      await Promise.all([last, rig.up('s1')].map(({ events }) => events.ready()));
      await expect.poll(() => canWrite('s3'), patience).toBe(true);
      await expect.poll(() => kubectl('s3', 'get', 'node', 'a1', '--no-headers'), patience).toMatch(/^a1 +Ready /);
      expect(webAnswers()).toEqual(['still-here', 'still-here']);
      expect(webLife()).toBe(before);
      await rig.up('s2').events.ready();
      await expect.poll(answeredByDns, patience).toBe(questions);
    },
  );

  test(
    'one is cut off while no controller-manager lives: heartbeats and cluster DNS know, and its node is not Ready after the grace',
    { timeout: limitMs },
    async () => {
      await haveWeb();
      const [cutOff, asked] = ['s3', 's1'] as const;
      const controllers = (command: string, ...names: readonly Server[]) => {
        for (const name of names) expect(machine(name).k3sLite(command, 'kube-controller-manager').code).toBe(0);
      };
      const nodeLine = (name: string = cutOff) => kubectl(asked, 'get', 'node', name, '--no-headers');
      const silentOnes = () => /^peers .*/m.exec(machine(asked).k3sLite('status').output)?.[0] ?? '';
      await expect.poll(nodeLine, patience).toMatch(/^s3 +Ready /);
      controllers('stop', ...serverNames);
      const cut =
        'table inet cut { chain out { type filter hook output priority -300; oifname "eth0" drop; }; chain in { type filter hook input priority -300; iifname "eth0" drop; }; }';
      expect(machine(cutOff).run('nft', cut)).toMatchObject({ code: 0 });
      const cutMs = performance.now();
      const since = () => `${((performance.now() - cutMs) / 1000).toFixed(1)} s`;
      await expect.poll(silentOnes, { timeout: knownWithinMs, interval: 100 }).toContain(`silent: ${cutOff} `);
      console.log(`heartbeats: ${cutOff} is known to be silent after ${since()}`);
      await expect.poll(answeredByDns, { timeout: knownWithinMs, interval: 250 }).toBe(questions);
      console.log(`cluster DNS: all ${String(questions)} questions answered after ${since()}`);
      expect(nodeLine()).toMatch(/^s3 +Ready /);
      await expect.poll(nodeLine, patience).toMatch(/^s3 +NotReady /);
      console.log(`${cutOff} is NotReady after ${since()}, with no controller-manager`);
      // The grace, a look's pause before it and one after; twice as wide, because machines are shared.
      expect(performance.now() - cutMs).toBeLessThan(2 * (graceMs + 15_000));
      for (const name of [...othersThan(cutOff), 'a1']) expect(nodeLine(name)).toMatch(/^\S+ +Ready /);
      const events = kubectl(asked, 'get', 'events', '--field-selector', `involvedObject.name=${cutOff}`);
      expect(events).toContain('no kube-controller-manager lives');
      // A controller-manager says the same, and so it stays until the node is back.
      controllers('start', asked, 's2');
      await expect.poll(() => serverNames.includes(leaderOf(leases[0], asked) as Server), patience).toBe(true);
      expect(nodeLine()).toMatch(/^s3 +NotReady /);
      expect(answeredByDns()).toBe(questions);
      expect(machine(cutOff).run('nft', 'delete table inet cut')).toMatchObject({ code: 0 });
      await expect.poll(nodeLine, patience).toMatch(/^s3 +Ready /);
      controllers('start', cutOff);
      await expect.poll(() => dnsServers(asked), patience).toEqual(['true', 'true', 'true']);
      await expect.poll(() => rig.wellOnes(), patience).toBe(3);
    },
  );
});
