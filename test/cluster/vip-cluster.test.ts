/**
 * The whole of it: `k3s-lite internal vip` on three nodes with real packets, a real API server and a real
 * etcd. An observer asks for each address every 10 ms and hears every frame.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { layoutOf } from '../../src/cluster/layout.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { createCluster, type Cluster } from './kit/cluster.ts';
import { install, type Installation } from './kit/installation.ts';
import { programsOf } from './kit/traces.ts';
import { stallMs, uplinkAddresses, VipProcesses, type VipProcess } from './kit/vip-processes.ts';
import { tenures, type Tenure } from './vip-rig/judge.ts';
import { questionFor } from './vip-rig/questions.ts';
import { vipRig, type RigProcess, type VipRig } from './vip-rig/vip-rig.ts';

const isRoot = process.getuid?.() === 0;
const nodes = ['n1', 'n2', 'n3'];
const addresses = ['10.98.0.50', '10.98.0.51', '10.98.0.52'];
const times = { leaseDurationMs: 3000, renewDeadlineMs: 1500, retryPeriodMs: 1000 };
const now = () => systemClock.monotonicMs();
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe.skipIf(!isRoot)('virtual addresses of three nodes', () => {
  let installation: Installation;
  let cluster: Cluster;
  let rig: VipRig;
  let vips: VipProcesses;
  const running = new Map<string, VipProcess>();
  /** Whoever gets the client's packets answers them. */
  const echoes: RigProcess[] = [];

  beforeAll(async () => {
    installation = await install();
    rig = await vipRig(nodes);
    cluster = await createCluster({ installation });
    const sans = uplinkAddresses(nodes.length).flatMap((address) => ['--tls-san', address]);
    const without = ['kube-controller-manager', 'kube-scheduler'].flatMap((name) => ['--disable', name]);
    await cluster.up(['--disable-agent', ...without, ...sans]).events.ready();
    vips = new VipProcesses({
      rig,
      nodes,
      apiPort: cluster.port('https-listen-port'),
      tls: layoutOf({ dataDir: cluster.paths.dataDir, runDir: '' }).serverTls,
      times,
      addresses,
    });
    await rig.observer.calls.ask(
      addresses.map((address) => questionFor(rig.place('observer'), address)),
      10,
    );
    for (const name of nodes) running.set(name, vips.start(name));
    for (const name of nodes) echoes.push(await rig.startNode(name));
  });
  afterAll(async () => {
    await (vips as VipProcesses | undefined)?.[Symbol.asyncDispose]();
    await Promise.all(echoes.map((each) => each.kill()));
    await (cluster as Cluster | undefined)?.[Symbol.asyncDispose]();
    await (rig as VipRig | undefined)?.[Symbol.asyncDispose]();
    installation[Symbol.dispose]();
  });

  const historyOf = async (address: string) => tenures(await rig.observer.calls.spoken(), address);
  const nodeOf = (mac: string | undefined) => nodes.find((name) => rig.place(name).mac === mac);
  /** Who answers for it now. */
  const speakerOf = async (address: string): Promise<string | undefined> => {
    const last = (await historyOf(address)).at(-1);
    return last !== undefined && now() - last.untilMs < 200 ? nodeOf(last.mac) : undefined;
  };
  const speakers = () => Promise.all(addresses.map(speakerOf));
  /** Each of these nodes answers, and each address is answered for. */
  async function settled(among: readonly string[]): Promise<void> {
    const share = Math.ceil(addresses.length / among.length);
    await expect
      .poll(
        async () => {
          const found = await speakers();
          const isEven = among.every((name) => found.filter((each) => each === name).length <= share);
          return isEven && found.every((each) => each !== undefined && among.includes(each)) ? 'settled' : found;
        },
        { timeout: 30_000, interval: 100 },
      )
      .toBe('settled');
  }
  const processOf = (name: string): VipProcess => {
    const found = running.get(name);
    if (found === undefined) throw new Error(`${name} does not run`);
    return found;
  };
  const leaving = async (): Promise<{ readonly address: string; readonly holder: VipProcess }> => {
    const [address = ''] = addresses;
    const holder = await speakerOf(address);
    if (holder === undefined) throw new Error('nobody answers');
    await rig.observer.calls.forget();
    return { address, holder: processOf(holder) };
  };
  /** Of an address that had to go: it was one node's, then another's, and never both's. */
  const handedOver = async (address: string, from: string): Promise<readonly [Tenure, Tenure]> => {
    await expect
      .poll(async () => (await historyOf(address)).length, { timeout: 30_000, interval: 50 })
      .toBeGreaterThan(1);
    const [before, after, ...more] = await historyOf(address);
    if (before === undefined || after === undefined) throw new Error('it was not handed over');
    expect(nodeOf(before.mac)).toBe(from);
    expect(more).toEqual([]);
    return [before, after];
  };
  const others = (name: string) => nodes.filter((each) => each !== name);
  const backAgain = async (name: string) => {
    running.set(name, vips.start(name));
    await settled(nodes);
  };

  test('[V1] [V2] each has one of three addresses, and answers for it alone', async () => {
    await settled(nodes);
    expect(new Set(await speakers())).toEqual(new Set(nodes));
    for (const address of addresses) {
      const history = await historyOf(address);
      expect(new Set(history.slice(-1).map(({ mac }) => nodeOf(mac)))).not.toContain(undefined);
    }
  });

  test('[V9] a node that is told to end hands over first, and another one answers at once', async () => {
    const { address, holder } = await leaving();
    await rig.client.calls.begin(address);
    await expect.poll(() => rig.client.calls.lastFrom()).toBe(holder.name);
    holder.signal('SIGTERM');
    const [before, after] = await handedOver(address, holder.name);
    await expect.poll(() => rig.client.calls.lastFrom()).toBe(nodeOf(after.mac));
    await holder.ended;
    const { longestGapMs, lost } = await rig.client.calls.finish();
    console.info(
      `on a stop: nobody says who has it for ${(after.fromMs - before.untilMs).toFixed(0)} ms; ` +
        `the client’s longest gap ${longestGapMs.toFixed(0)} ms, ${String(lost)} lost`,
    );
    // Issue 6: 50 ms; five times that, since machines differ.
    expect(longestGapMs).toBeLessThan(5 * 50);
    expect(after.fromMs - before.untilMs).toBeLessThan(times.leaseDurationMs);
    expect(rig.place(holder.name).must('ip', '-brief', 'address', 'show', 'dev', 'eth0')).not.toContain('10.98.0.5');
    await settled(others(holder.name));
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
    const spoken = (await rig.observer.calls.spoken()).filter((one) => one.address === address);
    const history = tenures(spoken, address);
    expect(history.map(({ mac }) => nodeOf(mac))).toEqual([holder.name]);
    const pauses = spoken.map(({ atMs }, at) => atMs - (spoken[at - 1]?.atMs ?? atMs));
    console.info(`held for ${String(stallMs)} ms: silent for ${Math.max(...pauses).toFixed(0)} ms at most`);
    expect(Math.max(...pauses)).toBeLessThan(times.retryPeriodMs);
    expect(holder.lines.filter(({ atMs, text }) => atMs > fromMs && text.includes('Lease vip-node'))).toEqual([]);
    await settled(nodes);
  });

  test('[V10] a node that dies is followed by another when its Lease is over', async () => {
    const { address, holder } = await leaving();
    const diedMs = now();
    rig.place(holder.name).cable('down');
    holder.uplink('down');
    holder.signal('SIGKILL');
    const [, after] = await handedOver(address, holder.name);
    console.info(`answered again ${(after.fromMs - diedMs).toFixed(0)} ms after the death, with 3 s of Lease`);
    expect(after.fromMs - diedMs).toBeLessThan(5 * times.leaseDurationMs);
    await settled(others(holder.name));
    rig.place(holder.name).cable('up');
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
    await settled(nodes);
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
    await settled(nodes);
  });

  test('[V7] [V8] etcd pauses for less than the renew deadline: nothing moves', async () => {
    await rig.observer.calls.forget();
    const fromMs = now();
    const pids = programsOf(cluster.paths, 'etcd');
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    await pause(1100);
    for (const pid of pids) process.kill(pid, 'SIGCONT');
    await pause(2 * times.leaseDurationMs);
    const failed = [...running.values()].flatMap(({ lines }) =>
      lines.filter(({ atMs, text }) => atMs > fromMs && text.includes('failed (ambiguous)')),
    );
    expect(failed.length).toBeGreaterThan(0);
    for (const address of addresses) expect(await historyOf(address)).toHaveLength(1);
  });

  test('[V9] etcd pauses for longer: all fall silent, and all is whole again when it is back', async () => {
    await rig.observer.calls.forget();
    const fromMs = now();
    const pids = programsOf(cluster.paths, 'etcd');
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    await pause(2.5 * times.leaseDurationMs);
    for (const address of addresses) {
      expect((await historyOf(address)).at(-1)?.untilMs).toBeLessThan(fromMs + times.leaseDurationMs);
    }
    for (const pid of pids) process.kill(pid, 'SIGCONT');
    const backMs = now();
    await settled(nodes);
    console.info(`whole ${(now() - backMs).toFixed(0)} ms after etcd was back`);
  });
});
