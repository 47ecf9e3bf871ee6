/**
 * Cluster DNS while servers go and come by order: whoever stops says so before, and is asked again when it answers.
 *
 *   client on a1 ─► kube-dns (10.43.0.10) ─┬─► CoreDNS of s1
 *                                          ├─► CoreDNS of s2
 *                                          └─► CoreDNS of s3, which stops and starts; then its process alone
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clientProcess } from '../cluster/kit/client-process.ts';
import { threeServers, type ThreeServers } from '../cluster/kit/three-servers.ts';

const isRoot = process.getuid?.() === 0;
const patience = { timeout: 120_000, interval: 250 };
const dns = { ip: '10.43.0.10', port: 53, name: 'kubernetes.default.svc.cluster.local' };
/** None is expected. One that goes without a word costs a third of the questions for 7 to 9 s, about 50. */
const mostUnanswered = 10;

describe.skipIf(!isRoot)('cluster DNS of three servers', () => {
  let rig: ThreeServers;
  const machine = (name: string) => rig.machine(name);
  /** By slice, whether each server is asked. */
  const asked = (): readonly string[] => {
    const which = ['get', 'endpointslices', '-l', 'kubernetes.io/service-name=kube-dns'];
    const how = ['-o', 'jsonpath={.items[*].endpoints[*].conditions.ready}'];
    return machine('s1')
      .k3sLite('kubectl', '--request-timeout=5s', '-n', 'kube-system', ...which, ...how)
      .output.trim()
      .split(' ');
  };
  const all = ['true', 'true', 'true'];

  /** Asks 20 times a second while something is done. */
  async function whileAsking(what: (enough: (count: number) => Promise<void>) => Promise<void>): Promise<number> {
    const begunMs = performance.now();
    const unanswered: string[] = [];
    let count = 0;
    using client = clientProcess({
      script: 'ask-dns.mjs',
      tls: '',
      port: dns.port,
      more: [dns.ip, dns.name],
      enter: machine('a1').enter,
      onLine(line) {
        count += 1;
        if (line !== 'ok') unanswered.push(`${line} after ${((performance.now() - begunMs) / 1000).toFixed(1)} s`);
      },
    });
    await what(async (more) => {
      const before = count;
      await expect.poll(() => count, patience).toBeGreaterThan(before + more);
    });
    await client.end();
    console.log(`${String(count)} questions, ${String(unanswered.length)} without an answer: ${unanswered.join(', ')}`);
    return unanswered.length;
  }

  beforeAll(async () => {
    rig = await threeServers({ hasNodes: true, patience });
  });
  afterAll(() => (rig as ThreeServers | undefined)?.[Symbol.asyncDispose]());

  test('a server that is stopped and started again costs no question', async () => {
    await expect.poll(asked, patience).toEqual(all);
    const unanswered = await whileAsking(async (enough) => {
      await enough(40);
      const begunMs = performance.now();
      const since = () => `${((performance.now() - begunMs) / 1000).toFixed(1)} s`;
      expect(await rig.running.get('s3')?.interrupt()).toBe(0);
      console.log(`stopped after ${since()}`);
      expect(asked().filter((each) => each === 'true')).toHaveLength(2);
      await enough(60);
      await rig.up('s3').events.ready();
      console.log(`ready again after ${since()}`);
      await expect.poll(asked, patience).toEqual(all);
      await enough(40);
    });
    expect(unanswered).toBeLessThan(mostUnanswered);
  });

  test('its CoreDNS alone, too', async () => {
    const unanswered = await whileAsking(async (enough) => {
      await enough(20);
      expect(machine('s3').k3sLite('stop', 'coredns', '--cascade').code).toBe(0);
      expect(asked().filter((each) => each === 'true')).toHaveLength(2);
      await enough(20);
      expect(machine('s3').k3sLite('start', 'coredns').code).toBe(0);
      await expect.poll(asked, patience).toEqual(all);
      await enough(20);
      expect(machine('s3').k3sLite('restart', 'coredns', '--cascade').code).toBe(0);
      await expect.poll(asked, patience).toEqual(all);
      await enough(60);
    });
    expect(unanswered).toBeLessThan(mostUnanswered);
  });
});
