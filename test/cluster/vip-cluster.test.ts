/**
 * The whole of it: `k3s-lite internal vip` on three nodes with real packets, a real API server and a real
 * etcd. An observer asks for each address every 10 ms and hears every frame.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import { SplitBrainRuns } from './kit/split-brain.ts';
import { vipCluster, type HeardTenure, type VipCluster } from './kit/vip-cluster.ts';
import { stallMs, type VipProcess } from './kit/vip-processes.ts';
import { run } from './rig/run.ts';
import type { RigProcess } from './vip-rig/vip-rig.ts';

const cli = path.resolve(import.meta.dirname, '../../bin/k3s-lite.js');
const isRoot = process.getuid?.() === 0;
const nodes = ['n1', 'n2', 'n3'];
const addresses = ['10.98.0.50', '10.98.0.51', '10.98.0.52'];
const times = { leaseDurationMs: 3000, renewDeadlineMs: 1500, retryPeriodMs: 1000 };
const now = () => systemClock.monotonicMs();
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe.skipIf(!isRoot)('virtual addresses of three nodes', () => {
  let vips: VipCluster;
  /** Whoever gets the client's packets answers them. */
  const echoes: RigProcess[] = [];

  beforeAll(async () => {
    vips = await vipCluster({ nodes, addresses, times });
    for (const name of nodes) echoes.push(await vips.rig.startNode(name));
  });
  afterAll(async () => {
    await Promise.all(echoes.map((each) => each.kill()));
    await (vips as VipCluster | undefined)?.[Symbol.asyncDispose]();
  });

  beforeEach(() => vips.heal());

  const leaving = async (): Promise<{ readonly address: string; readonly holder: VipProcess }> => {
    const [address = ''] = addresses;
    const holder = await vips.speakerOf(address);
    if (holder === undefined) throw new Error('nobody answers');
    await vips.rig.observer.calls.forget();
    // Heard since then: of one that dies at once nothing would be remembered, and its heir be the first.
    await expect.poll(async () => (await vips.historyOf(address)).map(({ node }) => node)).toEqual([holder]);
    return { address, holder: vips.processOf(holder) };
  };
  /** Of an address that had to go: it was one node's, then another's, and never both's. */
  const handedOver = async (address: string, from: string): Promise<readonly [HeardTenure, HeardTenure]> => {
    await expect
      .poll(async () => (await vips.historyOf(address)).length, { timeout: 30_000, interval: 50 })
      .toBeGreaterThan(1);
    const [before, after, ...more] = await vips.historyOf(address);
    if (before === undefined || after === undefined) throw new Error('it was not handed over');
    expect(before.node).toBe(from);
    expect(more).toEqual([]);
    return [before, after];
  };
  const others = (name: string) => nodes.filter((each) => each !== name);
  const backAgain = async (name: string) => {
    vips.start(name);
    await vips.settled();
  };

  test('[V1] [V2] each has one of three addresses, and answers for it alone', async () => {
    await vips.settled();
    expect(new Set(await vips.speakers())).toEqual(new Set(nodes));
    for (const address of addresses) {
      const history = await vips.historyOf(address);
      expect(history.at(-1)?.node).toBeDefined();
    }
  });

  test('[V6] a drain on command empties a node, and no packet is lost', async () => {
    const { address, holder } = await leaving();
    await vips.rig.client.calls.begin(address);
    await expect.poll(() => vips.rig.client.calls.answered()).toBeGreaterThan(20);
    await vips.command('drain', holder.name);
    await expect.poll(() => vips.rig.client.calls.lastFrom(), { timeout: 30_000 }).not.toBe(holder.name);
    await handedOver(address, holder.name);
    await vips.settled(others(holder.name));
    const kernel = () => vips.rig.place(holder.name).must('ip', '-brief', 'address', 'show', 'dev', 'eth0');
    // It is taken from there when the last has heard who has it now.
    await expect.poll(kernel, { timeout: 20_000 }).not.toContain('10.98.0.5');
    const { longestGapMs, lost } = await vips.rig.client.calls.finish();
    console.info(`drained: the client’s longest gap ${longestGapMs.toFixed(0)} ms, ${String(lost)} lost`);
    expect(lost).toBe(0);
    await vips.command('undrain', holder.name);
    await vips.settled();
  });

  test('[V11] the times that were given are those of the Leases; a set that cannot be kept is refused, and why', async () => {
    for (const name of nodes) expect(await vips.leaseSeconds(name)).toBe(times.leaseDurationMs / 1000);
    const [name = ''] = nodes;
    const renewals = new Set<number>();
    const fromMs = now();
    const renewedTwiceMore = async () => renewals.add(await vips.renewedAtMs(name)).size > 3;
    await expect.poll(renewedTwiceMore, { timeout: 30_000, interval: 100 }).toBe(true);
    // Three periods, two and a part of one at least. One write more, of something that has changed, comes at once.
    expect(now() - fromMs).toBeGreaterThan(times.retryPeriodMs);
    expect(now() - fromMs).toBeLessThan(5 * 3 * times.retryPeriodMs);

    const refused = (...args: readonly string[]) => {
      const { code, output } = run([process.execPath, cli, ...args]);
      expect(code, output).toBe(3);
      return output;
    };
    const stateDir = `${vips.rig.stateDir(name)}-refused`;
    const place = [`--state-dir=${stateDir}`, '--kubeconfig=none', `--node-name=${name}`];
    const unsafe = ['--lease-duration=3000', '--renew-deadline=2900', '--retry-period=1000'];
    expect(refused('internal', 'vip', ...place, ...unsafe)).toMatch(
      /the margin of 0\.30 s \+ 50 ms to withdraw are longer than --lease-duration 3\.0 s.*set --lease-duration/s,
    );
    expect(existsSync(stateDir)).toBe(false);
    const up = ['--data-dir', stateDir, '--vip-pool', '10.98.0.60', '--vip-lease-duration', '3s'];
    expect(refused('up', ...up, '--vip-renew-deadline', '3s')).toMatch(
      /--vip-lease-duration 3\.0 s is not longer than --vip-renew-deadline 3\.0 s .*raise the one or lower the other/s,
    );
  });

  test('[V9] a node that is told to end hands over first, and another one answers at once', async () => {
    const { address, holder } = await leaving();
    await vips.rig.client.calls.begin(address);
    await expect.poll(() => vips.rig.client.calls.lastFrom()).toBe(holder.name);
    holder.signal('SIGTERM');
    const [before, after] = await handedOver(address, holder.name);
    await expect.poll(() => vips.rig.client.calls.lastFrom()).toBe(after.node);
    await holder.ended;
    const { longestGapMs, lost } = await vips.rig.client.calls.finish();
    console.info(
      `on a stop: nobody says who has it for ${(after.fromMs - before.untilMs).toFixed(0)} ms; ` +
        `the client’s longest gap ${longestGapMs.toFixed(0)} ms, ${String(lost)} lost`,
    );
    // How short it is test/long/vip-moves.test.ts measures. Here: nobody waits for the end of a Lease.
    expect(longestGapMs).toBeLessThan(times.leaseDurationMs);
    expect(after.fromMs - before.untilMs).toBeLessThan(times.leaseDurationMs);
    expect(vips.rig.place(holder.name).must('ip', '-brief', 'address', 'show', 'dev', 'eth0')).not.toContain(
      '10.98.0.5',
    );
    await vips.settled(others(holder.name));
    await backAgain(holder.name);
  });

  test('[V9] [V10] a main thread that hangs for longer than the Lease loses nothing, and then goes on', async () => {
    const { address, holder } = await leaving();
    const fromMs = now();
    holder.signal('SIGUSR2');
    await expect
      .poll(() => holder.lines.some(({ text }) => text.includes('the main thread was held')), { timeout: 3 * stallMs })
      .toBe(true);
    expect(now() - fromMs).toBeGreaterThan(times.leaseDurationMs);
    const spoken = (await vips.rig.observer.calls.spoken()).filter((one) => one.address === address);
    expect((await vips.historyOf(address)).map(({ node }) => node)).toEqual([holder.name]);
    const pauses = spoken.map(({ atMs }, at) => atMs - (spoken[at - 1]?.atMs ?? atMs));
    console.info(`held for ${String(stallMs)} ms: silent for ${Math.max(...pauses).toFixed(0)} ms at most`);
    expect(Math.max(...pauses)).toBeLessThan(times.retryPeriodMs);
    expect(holder.lines.filter(({ atMs, text }) => atMs > fromMs && text.includes('Lease vip-node'))).toEqual([]);
    await vips.settled();
  });

  test('[V10] a node that dies is followed by another when its Lease is over', async () => {
    const { address, holder } = await leaving();
    const diedMs = now();
    vips.rig.place(holder.name).cable('down');
    holder.uplink('down');
    holder.signal('SIGKILL');
    const [, after] = await handedOver(address, holder.name);
    console.info(`answered again ${(after.fromMs - diedMs).toFixed(0)} ms after the death, with 3 s of Lease`);
    expect(after.fromMs - diedMs).toBeLessThan(5 * times.leaseDurationMs);
    await vips.settled(others(holder.name));
    vips.rig.place(holder.name).cable('up');
    holder.uplink('up');
    await backAgain(holder.name);
  });

  test('[V10] a frozen process falls silent by itself before another one answers', async () => {
    const { address, holder } = await leaving();
    const frozenMs = now();
    holder.signal('SIGSTOP');
    const [before, after] = await handedOver(address, holder.name);
    console.info(
      `frozen: silent after ${(before.untilMs - frozenMs).toFixed(0)} ms, answered again after ${(after.fromMs - frozenMs).toFixed(0)} ms`,
    );
    expect(before.untilMs).toBeLessThan(frozenMs + times.leaseDurationMs);
    expect(after.fromMs).toBeGreaterThan(before.untilMs);
    holder.signal('SIGCONT');
    await vips.settled();
    expect(holder.lines.some(({ text }) => text.includes('everything is withdrawn'))).toBe(true);
  });

  test('[V9] [V10] a node without the API withdraws, and only then another one answers', async () => {
    const { address, holder } = await leaving();
    const cutMs = now();
    holder.uplink('down');
    const [before, after] = await handedOver(address, holder.name);
    console.info(
      `cut off: silent after ${(before.untilMs - cutMs).toFixed(0)} ms, answered again after ${(after.fromMs - cutMs).toFixed(0)} ms`,
    );
    expect(before.untilMs).toBeLessThan(cutMs + times.leaseDurationMs);
    expect(holder.lines.some(({ atMs, text }) => atMs > cutMs && text.includes('attempt'))).toBe(true);
    holder.uplink('up');
    await vips.settled();
  });

  test('[V7] [V8] etcd pauses for less than the renew deadline: nothing moves or falls silent', async () => {
    await vips.rig.observer.calls.forget();
    const fromMs = now();
    const said = (pattern: RegExp) =>
      nodes.flatMap((name) =>
        vips.processOf(name).lines.filter(({ atMs, text }) => atMs > fromMs && pattern.test(text)),
      );
    const failed = () => said(/^Lease vip-node-\S+ attempt \d+ failed \(ambiguous\): .*; again in /);
    // Whether a renewal begins early enough in a pause to fail in it is a matter of luck.
    for (let round = 0; round < 6 && failed().length === 0; round += 1) {
      vips.freeze('etcd', true);
      await pause(1000);
      vips.freeze('etcd', false);
      await pause(times.renewDeadlineMs);
    }
    await pause(2 * times.leaseDurationMs);
    expect(failed().length).toBeGreaterThan(0);
    expect(said(/Lease vip-node-\S+ \w+ -> lost|falls silent|everything is withdrawn/)).toEqual([]);
    const spoken = await vips.rig.observer.calls.spoken();
    for (const address of addresses) {
      expect(await vips.historyOf(address)).toHaveLength(1);
      const heardMs = spoken.filter((one) => one.address === address).map(({ atMs }) => atMs);
      const pauses = heardMs.map((atMs, at) => atMs - (heardMs[at - 1] ?? atMs));
      expect(Math.max(...pauses)).toBeLessThan(times.retryPeriodMs);
    }
  });

  test('[V9] etcd pauses for longer: all fall silent, and all is whole again when it is back', async () => {
    await vips.rig.observer.calls.forget();
    const fromMs = now();
    vips.freeze('etcd', true);
    await pause(2.5 * times.leaseDurationMs);
    for (const address of addresses) {
      expect((await vips.historyOf(address)).at(-1)?.untilMs).toBeLessThan(fromMs + times.leaseDurationMs);
    }
    const said = (text: string, sinceMs: number) =>
      nodes.filter((name) =>
        vips.processOf(name).lines.some((line) => line.atMs > sinceMs && line.text.includes(text)),
      );
    expect(said('everything is withdrawn, and was read back', fromMs)).toEqual(nodes);
    vips.freeze('etcd', false);
    const backMs = now();
    await vips.settled();
    console.info(`whole ${(now() - backMs).toFixed(0)} ms after etcd was back`);
    await expect.poll(() => said('elected as coordinator', backMs).length, { timeout: 20_000 }).toBeGreaterThan(0);
    expect((await new SplitBrainRuns(vips).verdict()).complaints).toEqual([]);
  });
});
