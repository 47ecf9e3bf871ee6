/**
 * Three servers while a client on a fourth machine asks 20 times a second through that machine's balancer,
 * each time on a fresh connection, and tries once more what has failed.
 *
 *   client ─► api-balancer of a1 ─┬─► s1 ◄─┐
 *                                 ├─► s2 ◄─┼─ restarted one by one, certificates rotated
 *                                 └─► s3 ◄─┘
 *
 * What it has cost is printed, whatever it was.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { clusterRig, type ClusterRig } from '../cluster/rig/cluster-rig.ts';
import type { MachineUp } from '../cluster/rig/machine.ts';
import { retryingClient, type Outcome } from '../cluster/kit/retrying-client.ts';

const isRoot = process.getuid?.() === 0;
const servers = ['s1', 's2', 's3'] as const;
const patience = { timeout: 60_000, interval: 250 };
/** Source: src/app/flags.ts, --lb-server-port. */
const balancerPort = 6444;
/** Of each balancer on a machine; an agent has one. */
const listing = z.array(z.object({ servers: z.array(z.object({ address: z.string(), state: z.string() })) }));
const status = z.object({ units: z.array(z.object({ unit: z.string(), pid: z.number().optional() })) });
const certificates = z.object({
  certificates: z.array(z.object({ file: z.string(), serial: z.string(), isAuthority: z.boolean() })),
});

describe.skipIf(!isRoot)('three servers under a client', () => {
  let rig: ClusterRig;
  const running = new Map<string, MachineUp>();
  const machine = (name: string) => rig.machine(name);
  const json = <T>(schema: z.ZodType<T>, on: string, command: string, ...args: string[]): T =>
    schema.parse(JSON.parse(machine(on).k3sLite(command, ...args, '--json').output));
  const up = (name: string, ...args: string[]): MachineUp => {
    const how = name === 's1' ? ['--cluster-init'] : ['--server', `https://${machine('s1').ip}:9345`];
    const role = name === 'a1' ? [] : ['--disable-agent'];
    const given = ['--token-file', path.join(machine(name).dataDir, 'given-token')];
    const started = machine(name).up(name === 'a1' ? 'agent' : 'up', [...how, ...role, ...given, ...args]);
    running.set(name, started);
    return started;
  };
  /** Of the balancer of a1, which the client asks through. */
  const states = () => json(listing, 'a1', 'lb', 'list').flatMap((one) => one.servers);
  const areAllWell = () => states().filter(({ state }) => ['active', 'preferred', 'healthy'].includes(state)).length;
  /** Name of the machine that holds a lease. */
  const leaderOf = (lease: string, from: string): string =>
    machine(from)
      .k3sLite('kubectl', '-n', 'kube-system', 'get', 'lease', lease, '-o', 'jsonpath={.spec.holderIdentity}')
      .output.replace(/_.*/s, '');

  /** What the client has seen while `act` ran, with a while before and after. */
  const watched = async (what: string, act: () => unknown): Promise<Outcome> => {
    using client = retryingClient({
      tls: path.join(machine('s1').dataDir, 'server/tls'),
      port: balancerPort,
      enter: machine('a1').enter,
    });
    const moreThan = async (count: number) => {
      const before = client.asked();
      await expect.poll(() => client.asked(), patience).toBeGreaterThan(before + count);
    };
    await moreThan(20);
    await act();
    await moreThan(40);
    const outcome = await client.end();
    console.log(`${what}: ${outcome.text}`);
    return outcome;
  };

  beforeAll(async () => {
    rig = await clusterRig([...servers, 'a1']);
    for (const name of ['s1', 's2', 's3', 'a1']) {
      writeFileSync(path.join(machine(name).dataDir, 'given-token'), 'a-token-of-my-choice\n', { mode: 0o600 });
    }
    await up('s1').events.ready();
    await Promise.all(['s2', 's3', 'a1'].map((name) => up(name).events.ready()));
  });
  afterAll(async () => {
    try {
      await running.get('a1')?.interrupt();
      await Promise.allSettled([...running.values()].map((one) => one.interrupt()));
    } finally {
      await rig[Symbol.asyncDispose]();
    }
  });

  test('[L9] all are restarted, one after the other: no request fails', async () => {
    await expect.poll(areAllWell, patience).toBe(3);
    const outcome = await watched('rolling restart', async () => {
      for (const name of servers) {
        await running.get(name)?.interrupt();
        await up(name).events.ready();
        await expect.poll(areAllWell, patience).toBe(3);
      }
    });
    expect(outcome.failed).toEqual([]);
  });

  test('[H11] all certificates of all servers are made anew: no request fails', async () => {
    const serials = (on: string) => {
      const leaves = json(certificates, on, 'certificate', 'check').certificates.filter((one) => !one.isAuthority);
      return new Map(leaves.map(({ file, serial }) => [file, serial]));
    };
    const before = new Map(servers.map((name) => [name, serials(name)]));
    const outcome = await watched('rotation of certificates', () => {
      for (const name of servers) {
        const { code, output } = machine(name).k3sLite('certificate', 'rotate');
        expect(code, output).toBe(0);
      }
    });
    expect(outcome.failed).toEqual([]);
    for (const name of servers) {
      const after = serials(name);
      for (const [file, serial] of before.get(name) ?? []) expect(after.get(file), file).not.toBe(serial);
    }
    expect(areAllWell()).toBe(3);
  });

  test.each([
    ['kube-controller-manager', 'stop'],
    ['kube-scheduler', 'kill'],
  ])('%s: its leader goes by %s, and another server leads', async (unit, how) => {
    const before = leaderOf(unit, 's1');
    const asked = servers.find((name) => name !== before) ?? 's1';
    if (how === 'stop') expect(machine(before).k3sLite('stop', unit).code).toBe(0);
    else {
      // Killed each time that it is there, so that it is not itself that leads again.
      const pid = () => json(status, before, 'status').units.find((one) => one.unit === unit)?.pid;
      await expect
        .poll(
          () => {
            const found = pid();
            if (found !== undefined) machine(before).run('kill', '-KILL', String(found));
            return leaderOf(unit, asked);
          },
          { ...patience, interval: 500 },
        )
        .not.toBe(before);
    }
    await expect.poll(() => leaderOf(unit, asked), patience).not.toBe(before);
    expect(servers).toContain(leaderOf(unit, asked));
    if (how === 'stop') expect(machine(before).k3sLite('start', unit).code).toBe(0);
  });

  test('a token that is rotated at one server becomes that of each', async () => {
    const old = readFileSync(path.join(machine('s1').dataDir, 'server/node-token'), 'utf8');
    expect(machine('s1').k3sLite('token', 'rotate').code).toBe(0);
    const rotatedMs = Date.now();
    const token = () => readFileSync(path.join(machine('s1').dataDir, 'server/node-token'), 'utf8');
    expect(token()).not.toBe(old);
    for (const name of servers) {
      const kept = () => readFileSync(path.join(machine(name).dataDir, 'server/node-token'), 'utf8');
      await expect.poll(kept, patience).toBe(token());
      console.log(`${name} has it after ${String(Date.now() - rotatedMs)} ms`);
    }
  });
});
