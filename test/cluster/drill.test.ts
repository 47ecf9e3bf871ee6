/**
 * A failover drill on three servers: the one that the client talks to, and that leads etcd, hangs for a
 * while. Then what else the report has to say: a bound that nobody can keep is exceeded.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { clusterRig, type ClusterRig } from './rig/cluster-rig.ts';
import type { MachineUp } from './rig/machine.ts';

const isRoot = process.getuid?.() === 0;
const kind = z.object({ requests: z.number(), retried: z.number(), failed: z.number(), longestGapMs: z.number() });
const reportSchema = z.object({
  server: z.string(),
  others: z.array(z.string()),
  frozen: z.array(z.string()),
  awayMs: z.number(),
  reads: kind,
  writes: kind,
  leaders: z.object({ before: z.record(z.string(), z.string()), after: z.record(z.string(), z.string()) }),
  errors: z.array(z.object({ error: z.string(), count: z.number() })),
  violations: z.array(z.string()),
});

describe.skipIf(!isRoot)('a failover drill', () => {
  let rig: ClusterRig;
  const running: MachineUp[] = [];
  const drill = (name: string, ...args: string[]) => rig.machine(name).k3sLite('drill', 'failover', ...args);

  beforeAll(async () => {
    rig = await clusterRig(['s1', 's2', 's3']);
  });
  afterAll(async () => {
    try {
      await Promise.allSettled(running.map((one) => one.interrupt()));
    } finally {
      await rig[Symbol.asyncDispose]();
    }
  });

  const up = (name: string, args: readonly string[], token: string): MachineUp => {
    const { dataDir } = rig.machine(name);
    const file = path.join(dataDir, 'given-token');
    writeFileSync(file, token, { mode: 0o600 });
    const started = rig.machine(name).up('up', ['--disable-agent', ...args, '--token-file', file]);
    running.push(started);
    return started;
  };

  test('on a cluster of one server there is none: nobody would go on', async () => {
    await up('s1', ['--cluster-init'], 'a-token-of-my-choice\n').events.ready();
    const { code, output } = drill('s1', '--yes');
    expect({ code, output }).toMatchObject({ code: 3 });
    expect(output).toContain('the cluster has one API server');
  });

  test('it says what it would do, and does nothing without a yes', async () => {
    const { machine } = rig;
    const token = machine('s1').k3sLite('token', 'show').output;
    const join = ['--server', `https://${machine('s1').ip}:9345`];
    await Promise.all(['s2', 's3'].map((name) => up(name, join, token).events.ready()));
    const { code, output } = drill('s1');
    expect({ code, output }).toMatchObject({ code: 2 });
    expect(output).toMatch(/For 10\.0 s etcd, .*kube-apiserver, .* of s1 will hang.* Say so with --yes/);
    expect(drill('s1', '--yes', '--server', 's2').output).toContain('this machine is s1: run the drill on s2 itself');
    expect(drill('s1', '--yes', '--for', '90s').code).toBe(2);
  });

  test('[H9] servers without a node of their own keep heartbeats with each other, too', async () => {
    for (const name of ['s1', 's2', 's3']) {
      await expect
        .poll(() => /^peers .*/m.exec(rig.machine(name).k3sLite('status').output)?.[0] ?? '', { timeout: 30_000 })
        .toMatch(/2 of 2 peers answer/);
    }
  });

  test('[H11] a server hangs: the report says what the client saw, by exit code too, and all is well again', async () => {
    const { code, output } = drill('s1', '--yes', '--for', '10s', '--json');
    const report = reportSchema.parse(JSON.parse(output.slice(output.indexOf('{'), output.lastIndexOf('}') + 1)));
    expect(report.server).toBe('s1');
    console.log(
      `drill: reads ${JSON.stringify(report.reads)}, writes ${JSON.stringify(report.writes)}, ${JSON.stringify(report.errors)}`,
    );
    // What it proves depends on the machine that is tried; that it tells the truth of it does not.
    const worstMs = Math.max(report.reads.longestGapMs, report.writes.longestGapMs);
    expect(report.violations.length > 0, output).toBe(worstMs > 2_000);
    expect(code, output).toBe(report.violations.length > 0 ? 5 : 0);
    expect(report.others).toHaveLength(2);
    expect(report.frozen).toEqual(expect.arrayContaining(['etcd', 'kube-apiserver', 'kube-scheduler']));
    expect(report.awayMs).toBeGreaterThan(10_000);
    // It was asked all the time, 20 times a second, also while the server hung.
    expect(report.reads.requests + report.writes.requests).toBeGreaterThan(150);
    expect(report.reads.retried + report.writes.retried).toBeGreaterThan(0);
    // Nothing of it was restarted, and its API answers again.
    await expect
      .poll(() => rig.machine('s1').k3sLite('kubectl', 'get', '--raw', '/readyz').output, { timeout: 30_000 })
      .toBe('ok');
    const states = running[0]?.events.states('kube-apiserver').map(({ snapshot }) => snapshot.generation);
    expect(new Set(states)).toEqual(new Set([0, 1]));
  });

  test('a bound that cannot be kept is said to be exceeded, by exit code too', () => {
    const { code, output } = drill('s2', '--yes', '--for', '3s', '--bound', '10ms');
    expect(code).toBe(5);
    expect(output).toMatch(/^s2 hung for \d\.\d s \(etcd, .*kube-apiserver, .*\); \S+ and \S+ went on$/m);
    expect(output).toMatch(/^ +reads +\d+ asked, \d+ tried twice, \d+ failed; at most .* between two answers$/m);
    expect(output).toMatch(/^ +kube-controller-manager led by s\d before, s\d after$/m);
    expect(output).toMatch(/^not proven: .* without an answer to a read, and 0\.0 s are allowed/m);
  });
});
