/**
 * One of three servers is lost, each time the one that a client on a fourth machine is routed to: by a
 * kill, by SIGSTOP, by a partition; and each time with and without etcd's leader on it.
 *
 *   client ─► api-balancer of a1 ─┬─► the one that is lost
 *                                 ├─► server
 *                                 └─► server
 *
 * Two clients ask 20 times a second, on fresh connections: one gives a try up after a second and tries
 * again until it is answered, the other one waits for as long as it takes. What both saw is printed.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import type { Outcome } from '../cluster/kit/retrying-client.ts';
import { serverNames, threeServers, type ThreeServers } from '../cluster/kit/three-servers.ts';

const isRoot = process.getuid?.() === 0;
const patience = { timeout: 60_000, interval: 250 };
/** Source: src/app/flags.ts, --etcd-metrics-port. */
const etcdMetricsPort = 2381;
const status = z.object({ units: z.array(z.object({ unit: z.string(), pid: z.number().optional() })) });
const controlPlane = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'join-server'];

const slowest = ({ slowestOf: { read, write } }: Outcome) => ` (reads ${String(read)} ms, writes ${String(write)} ms)`;

describe.skipIf(!isRoot)('one of three servers is lost', () => {
  let rig: ThreeServers;
  const machine = (name: string) => rig.machine(name);
  const addressOf = (name: string) => `${machine(name).ip}:6443`;
  const isActive = (name: string) =>
    rig.states().some(({ address, state }) => address === addressOf(name) && state === 'active');
  const etcdLeader = (): string | undefined =>
    serverNames.find((name) => {
      const ask = `fetch('http://127.0.0.1:${String(etcdMetricsPort)}/metrics').then((answer) => answer.text()).then((text) => process.exit(/^etcd_server_is_leader 1$/m.test(text) ? 0 : 1))`;
      return machine(name).run(process.execPath, '-e', ask).code === 0;
    });
  const pidsOf = (name: string): readonly string[] =>
    status
      .parse(JSON.parse(machine(name).k3sLite('status', '--json').output))
      .units.flatMap(({ unit, pid }) => (controlPlane.includes(unit) && pid !== undefined ? [String(pid)] : []));
  const cut = (name: string, isCut: boolean) => {
    const table = `table inet cut {
      chain in { type filter hook input priority -300; iifname "eth0" drop; }
      chain out { type filter hook output priority -300; oifname "eth0" drop; }
    }`;
    const { code, output } = machine(name).run('nft', isCut ? table : 'delete table inet cut');
    expect(code, output).toBe(0);
  };

  beforeAll(async () => {
    rig = await threeServers({ patience });
  });
  afterAll(() => (rig as ThreeServers | undefined)?.[Symbol.asyncDispose]());

  const faults: Readonly<Record<string, { begin: (name: string) => void; end: (name: string) => unknown }>> = {
    partition: { begin: (name) => cut(name, true), end: (name) => cut(name, false) },
    SIGSTOP: {
      begin: (name) => void machine(name).run('kill', '-STOP', ...pidsOf(name)),
      end: (name) => void machine(name).run('kill', '-CONT', ...pidsOf(name)),
    },
    kill: { begin: (name) => machine(name).powerOff(), end: (name) => rig.up(name).events.ready() },
  };

  test.each([
    ['partition', 'leads etcd'],
    ['partition', 'follows'],
    ['SIGSTOP', 'leads etcd'],
    ['SIGSTOP', 'follows'],
    ['kill', 'leads etcd'],
    ['kill', 'follows'],
  ] as const)('[L9] by %s, one that %s', async (fault, role) => {
    await expect.poll(() => rig.wellOnes(), patience).toBe(3);
    const leader = etcdLeader();
    const lost = (role === 'leads etcd' ? leader : serverNames.find((name) => name !== leader)) ?? 's1';
    machine('a1').k3sLite('lb', 'pin', addressOf(lost));
    await expect.poll(() => isActive(lost), patience).toBe(true);
    machine('a1').k3sLite('lb', 'unpin');
    using retrying = rig.client({ withinMs: 1_000, tries: 20 });
    using waiting = rig.client({ withinMs: 60_000, tries: 20 });
    const moreThan = (count: number) => rig.askedMore(retrying, count);
    await moreThan(20);
    faults[fault]?.begin(lost);
    await moreThan(80);
    await faults[fault]?.end(lost);
    await moreThan(20);
    const outcome = await retrying.end();
    const patient = await waiting.end();
    console.log(`${fault} of ${lost}, which ${role}: ${outcome.text}${slowest(outcome)}`);
    console.log(`  without a limit: ${patient.text}${slowest(patient)}`);
    expect([...outcome.failed, ...patient.failed]).toEqual([]);
    // The demand is 2 s; five times as wide, because machines are shared.
    expect(outcome.slowestMs).toBeLessThan(10_000);
    // Of writes this says nothing: one that a member has passed on to a leader that is gone, etcd itself gives up after 7 s.
    expect(patient.slowestOf.read).toBeLessThan(10_000);
  });
});
