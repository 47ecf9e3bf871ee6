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
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import type { Outcome } from '../cluster/kit/retrying-client.ts';
import { serverNames, threeServers, type ThreeServers } from '../cluster/kit/three-servers.ts';

const isRoot = process.getuid?.() === 0;
const patience = { timeout: 60_000, interval: 250 };
const status = z.object({ units: z.array(z.object({ unit: z.string(), pid: z.number().optional() })) });
const certificates = z.object({
  certificates: z.array(z.object({ file: z.string(), serial: z.string(), isAuthority: z.boolean() })),
});

describe.skipIf(!isRoot)('three servers under a client', () => {
  let rig: ThreeServers;
  const machine = (name: string) => rig.machine(name);
  const json = <T>(schema: z.ZodType<T>, on: string, command: string, ...args: string[]): T =>
    schema.parse(JSON.parse(machine(on).k3sLite(command, ...args, '--json').output));
  /** Name of the machine that holds a lease. */
  const leaderOf = (lease: string, from: string): string =>
    machine(from)
      .k3sLite('kubectl', '-n', 'kube-system', 'get', 'lease', lease, '-o', 'jsonpath={.spec.holderIdentity}')
      .output.replace(/_.*/s, '');

  /** What the client has seen while `act` ran, with a while before and after. */
  const watched = async (what: string, act: () => unknown): Promise<Outcome> => {
    using client = rig.client();
    const moreThan = (count: number) => rig.askedMore(client, count);
    await moreThan(20);
    await act();
    await moreThan(40);
    const outcome = await client.end();
    console.log(`${what}: ${outcome.text}`);
    return outcome;
  };

  beforeAll(async () => {
    rig = await threeServers({ patience });
  });
  afterAll(() => (rig as ThreeServers | undefined)?.[Symbol.asyncDispose]());

  test('[L9] all are restarted, one after the other: no request fails', async () => {
    await expect.poll(() => rig.wellOnes(), patience).toBe(3);
    const outcome = await watched('rolling restart', async () => {
      for (const name of serverNames) {
        await rig.running.get(name)?.interrupt();
        await rig.up(name).events.ready();
        await expect.poll(() => rig.wellOnes(), patience).toBe(3);
      }
    });
    expect(outcome.failed).toEqual([]);
  });

  test('[H11] all certificates of all servers are made anew: no request fails', async () => {
    const serials = (on: string) => {
      const leaves = json(certificates, on, 'certificate', 'check').certificates.filter((one) => !one.isAuthority);
      return new Map(leaves.map(({ file, serial }) => [file, serial]));
    };
    const before = new Map(serverNames.map((name) => [name, serials(name)]));
    const outcome = await watched('rotation of certificates', () => {
      for (const name of serverNames) {
        const { code, output } = machine(name).k3sLite('certificate', 'rotate');
        expect(code, output).toBe(0);
      }
    });
    expect(outcome.failed).toEqual([]);
    for (const name of serverNames) {
      const after = serials(name);
      for (const [file, serial] of before.get(name) ?? []) expect(after.get(file), file).not.toBe(serial);
    }
    expect(rig.wellOnes()).toBe(3);
  });

  test.each([
    ['kube-controller-manager', 'stop'],
    ['kube-scheduler', 'kill'],
  ])('%s: its leader goes by %s, and another server leads', async (unit, how) => {
    const before = leaderOf(unit, 's1');
    const asked = serverNames.find((name) => name !== before) ?? 's1';
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
    expect(serverNames).toContain(leaderOf(unit, asked));
    if (how === 'stop') expect(machine(before).k3sLite('start', unit).code).toBe(0);
  });

  test('a token that is rotated at one server becomes that of each', async () => {
    const old = readFileSync(path.join(machine('s1').dataDir, 'server/node-token'), 'utf8');
    expect(machine('s1').k3sLite('token', 'rotate').code).toBe(0);
    const rotatedMs = Date.now();
    const token = () => readFileSync(path.join(machine('s1').dataDir, 'server/node-token'), 'utf8');
    expect(token()).not.toBe(old);
    for (const name of serverNames) {
      const kept = () => readFileSync(path.join(machine(name).dataDir, 'server/node-token'), 'utf8');
      await expect.poll(kept, patience).toBe(token());
      console.log(`${name} has it after ${String(Date.now() - rotatedMs)} ms`);
    }
  });
});
