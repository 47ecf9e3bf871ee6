/**
 * `k3s-lite internal vip` on nodes with real packets, a real API server and a real etcd, and an observer
 * that asks for each address every 10 ms and hears every frame.
 *
 *   etcd ─ kube-apiserver ─┬─ uplink ─ n1 ─┐
 *                          ├─ uplink ─ n2 ─┼─ a bridge ─ client, observer
 *                          └─ uplink ─ n3 ─┘
 */
import { expect } from 'vitest';
import * as z from 'zod';
import { kubeClient, readCredentials, type KubeClient } from '../../../src/cluster/kube-client.ts';
import { layoutOf } from '../../../src/cluster/layout.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { addressLease } from '../../../src/vip/coordination/cluster-api.ts';
import {
  planAnswer,
  statusAnswer,
  type PlanAnswer,
  type StatusAnswer,
  type VipVerb,
} from '../../../src/vip/control-model.ts';
import type { Election } from '../../../src/vip/model.ts';
import { readAssignment } from '../../../src/vip/coordination/stored-assignment.ts';
import type { LeaseTimes } from '../../../src/vip/coordination/timing.ts';
import type { Granted, Tenure } from '../vip-rig/judge.ts';
import { questionFor } from '../vip-rig/questions.ts';
import { skewedClocks, type NodeClock } from '../vip-rig/skewed-clocks.ts';
import { vipRig, type VipRig } from '../vip-rig/vip-rig.ts';
import { createCluster, type Cluster } from './cluster.ts';
import { install } from './installation.ts';
import { programsOf } from './traces.ts';
import { uplinkAddresses, VipProcesses, type VipProcess } from './vip-processes.ts';

const askEveryMs = 10;
/** Who has not answered for so long does not. */
const silentMs = 200;
const patience = { timeout: 60_000, interval: 50 };
const signal = new AbortController().signal;

const assignmentSchema = z.object({ data: z.object({ assignment: z.string() }) });
const leaseSchema = z.object({
  spec: z.object({
    holderIdentity: z.string().default(''),
    renewTime: z.string(),
    leaseDurationSeconds: z.number().optional(),
  }),
});

export interface VipClusterOptions {
  readonly nodes: readonly string[];
  readonly addresses: readonly string[];
  readonly times: LeaseTimes;
  /** As each node is told; then nobody shares the addresses evenly. */
  readonly election?: Election;
  /** How many days longer each node has been up than this machine; then its wall clock can be set, too. */
  readonly uptimeDays?: readonly number[];
}

export interface HeardTenure extends Tenure {
  /** Undefined: nobody of the rig. */
  readonly node: string | undefined;
}

/** Disposing takes everything away. @throws an Error after it has cleaned up */
export async function vipCluster(options: VipClusterOptions): Promise<VipCluster> {
  const { nodes, addresses, times, uptimeDays } = options;
  const undo: (() => unknown)[] = [];
  const end = async () => {
    for (const one of undo.splice(0).reverse()) await one();
  };
  try {
    const installation = await install();
    undo.push(() => installation[Symbol.dispose]());
    const rig = await vipRig(nodes);
    undo.push(() => rig[Symbol.asyncDispose]());
    const clocks = uptimeDays === undefined ? undefined : await skewedClocks(rig, nodes, uptimeDays);
    const cluster = await createCluster({ installation });
    undo.push(() => cluster[Symbol.asyncDispose]());
    const sans = uplinkAddresses(nodes.length).flatMap((address) => ['--tls-san', address]);
    const without = ['kube-controller-manager', 'kube-scheduler'].flatMap((name) => ['--disable', name]);
    await cluster.up(['--disable-agent', ...without, ...sans]).events.ready();
    const apiPort = cluster.port('https-listen-port');
    const tls = layoutOf({ dataDir: cluster.paths.dataDir, runDir: '' }).serverTls;
    const processes = new VipProcesses({ rig, nodes, apiPort, tls, times, addresses, ...(clocks && { clocks }) });
    undo.push(() => processes[Symbol.asyncDispose]());
    const credentials = await readCredentials(`https://127.0.0.1:${String(apiPort)}`, tls, 'client-admin');
    const client = kubeClient(credentials, systemClock);
    undo.push(() => client[Symbol.dispose]());
    // An operator's wishes are about nodes that there are.
    for (const name of nodes) {
      await client.create('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } }, signal);
    }
    const vips = new VipCluster({ ...options, rig, cluster, clocks, client, processes, end });
    undo.push(() => vips.forgetApi());
    await vips.ask();
    return vips;
  } catch (error) {
    await end();
    throw error;
  }
}

interface Parts extends VipClusterOptions {
  readonly rig: VipRig;
  readonly cluster: Cluster;
  readonly clocks: ReadonlyMap<string, NodeClock> | undefined;
  readonly client: KubeClient;
  readonly processes: VipProcesses;
  readonly end: () => Promise<void>;
}

export class VipCluster implements AsyncDisposable {
  readonly nodes: readonly string[];
  readonly addresses: readonly string[];
  readonly times: LeaseTimes;
  readonly rig: VipRig;
  readonly clocks: ReadonlyMap<string, NodeClock>;
  readonly #parts: Parts;
  readonly #running = new Map<string, VipProcess>();
  /** Also those that have ended. */
  readonly #all: VipProcess[] = [];
  readonly #stored = new Map<string, Granted[]>();
  readonly #ended = new AbortController();

  constructor(parts: Parts) {
    this.nodes = parts.nodes;
    this.addresses = parts.addresses;
    this.times = parts.times;
    this.rig = parts.rig;
    this.clocks = parts.clocks ?? new Map();
    this.#parts = parts;
    void this.#followAssignment();
  }

  /** Who would answer does. */
  ask(): Promise<void> {
    const questions = this.addresses.map((address) => questionFor(this.rig.place('observer'), address));
    return this.rig.observer.calls.ask(questions, askEveryMs);
  }

  /** @param flags - of its command line, beside those of all */
  start(name: string, flags?: Readonly<Record<string, string | number>>): VipProcess {
    const { processes, election } = this.#parts;
    const started = processes.start(name, { ...(election && { election }), ...flags });
    this.#running.set(name, started);
    this.#all.push(started);
    return started;
  }

  processOf(name: string): VipProcess {
    const found = this.#running.get(name);
    if (found === undefined) throw new Error(`${name} does not run`);
    return found;
  }

  /** Takes back what a test that failed has left: nobody is frozen or cut off, everybody runs. */
  async heal(): Promise<void> {
    this.freeze('etcd', false);
    this.freeze('kube-apiserver', false);
    for (const name of this.nodes) {
      this.rig.place(name).cable('up');
      const found = this.#running.get(name);
      found?.uplink('up');
      found?.signal('SIGCONT');
      if (found?.hasEnded() !== false) this.start(name);
    }
    await this.settled();
  }

  /** Of the processes of a program of the control plane. */
  freeze(program: 'etcd' | 'kube-apiserver', isFrozen: boolean): void {
    const pids = programsOf(this.#parts.cluster.paths, program);
    if (pids.length === 0) throw new Error(`${program} does not run`);
    for (const pid of pids) process.kill(pid, isFrozen ? 'SIGSTOP' : 'SIGCONT');
  }

  /** If it runs. */
  killEtcd(): void {
    for (const pid of programsOf(this.#parts.cluster.paths, 'etcd')) process.kill(pid, 'SIGKILL');
  }

  /** It serves its clients, of which the API server is one that may not know. */
  async etcdAnswers(): Promise<void> {
    const url = `http://127.0.0.1:${String(this.#parts.cluster.port('etcd-metrics-port'))}/health`;
    const answers = () =>
      fetch(url).then(
        ({ ok }) => ok,
        () => false,
      );
    await expect.poll(answers, patience).toBe(true);
  }

  /** A read from etcd is answered. */
  async apiAnswers(): Promise<void> {
    const answers = () => this.coordinator().then(Boolean, () => false);
    await expect.poll(answers, patience).toBe(true);
  }

  async historyOf(address: string): Promise<readonly HeardTenure[]> {
    const history = await this.rig.observer.calls.history(address);
    return history.map((tenure) => ({ ...tenure, node: this.nodeOf(tenure.mac) }));
  }

  nodeOf(mac: string): string | undefined {
    return this.nodes.find((name) => this.rig.place(name).mac === mac);
  }

  /** Who answers for it now. */
  async speakerOf(address: string): Promise<string | undefined> {
    const last = (await this.historyOf(address)).at(-1);
    return last !== undefined && systemClock.monotonicMs() - last.untilMs < silentMs ? last.node : undefined;
  }

  speakers(): Promise<readonly (string | undefined)[]> {
    return Promise.all(this.addresses.map((address) => this.speakerOf(address)));
  }

  /** Each of these nodes answers for its share (if anybody shares), and each address is answered for. */
  async settled(among: readonly string[] = this.nodes): Promise<void> {
    const share = Math.ceil(this.addresses.length / among.length);
    const look = async () => {
      const found = await this.speakers();
      const isElected = this.#parts.election === 'per-service';
      const isEven = isElected || among.every((name) => found.filter((each) => each === name).length <= share);
      return isEven && found.every((each) => each !== undefined && among.includes(each)) ? 'settled' : found;
    };
    await expect.poll(look, patience).toBe('settled');
  }

  /** The node whose process decides. */
  async coordinator(): Promise<string> {
    return (await this.#lease('vip-coordinator')).holderIdentity.split('/')[0] ?? '';
  }

  /** As `k3s-lite vip VERB NODE` does on the node that decides. */
  async command(verb: VipVerb, node: string): Promise<void> {
    await this.processOf(await this.coordinator()).asked(`/v1/${verb}`, { node });
  }

  /** Its process says that its Lease is good. */
  async isAlive(name: string): Promise<boolean> {
    const answer = await this.processOf(name)
      .asked('/v1/status')
      .catch(() => undefined);
    return answer !== undefined && statusAnswer.parse(answer).leaseGood;
  }

  /** As `k3s-lite vip status` does on a node. */
  async statusOn(name: string): Promise<StatusAnswer> {
    return statusAnswer.parse(await this.processOf(name).asked('/v1/status'));
  }

  /** The node that was elected for it. */
  async electedFor(address: string): Promise<string> {
    return (await this.#lease(addressLease(address))).holderIdentity.split('/')[0] ?? '';
  }

  /** What would be moved now, and what waits. */
  async plan(): Promise<PlanAnswer> {
    return planAnswer.parse(await this.processOf(await this.coordinator()).asked('/v1/plan'));
  }

  /** How long it lasts, as anybody may read. */
  async leaseSeconds(name: string): Promise<number | undefined> {
    return (await this.#lease(`vip-node-${name}`)).leaseDurationSeconds;
  }

  /** When its Lease was renewed, by its own wall clock. */
  async renewedAtMs(name: string): Promise<number> {
    return Date.parse((await this.#lease(`vip-node-${name}`)).renewTime);
  }

  /** What was ever granted of an address: as it was stored, and as nodes say that they have taken it. */
  granted(address: string): readonly Granted[] {
    const taken = this.#all.flatMap(({ name, lines }) =>
      lines.flatMap(({ text }) => {
        const [, said, generation] = /(\S+) is answered for here \(generation (\d+)\)/.exec(text) ?? [];
        return said === address ? [{ node: name, generation: Number(generation) }] : [];
      }),
    );
    return [...(this.#stored.get(address) ?? []), ...taken];
  }

  /** Nothing more is asked of the API. */
  forgetApi(): void {
    this.#ended.abort(new Error('the test has ended'));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#parts.end();
  }

  async #lease(name: string): Promise<z.infer<typeof leaseSchema>['spec']> {
    const path = `/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/${name}`;
    return leaseSchema.parse(await this.#parts.client.get(path, signal)).spec;
  }

  async #followAssignment(): Promise<void> {
    const maps = '/api/v1/namespaces/kube-system/configmaps';
    const { signal: ended } = this.#ended;
    while (!ended.aborted) {
      try {
        const query = { fieldSelector: 'metadata.name=vip-assignment' };
        for await (const { object } of this.#parts.client.watch(maps, query, ended)) this.#store(object);
      } catch {
        // The control plane is frozen or gone: that is what is tried.
      }
      await new Promise((resolve) => setTimeout(resolve, askEveryMs));
    }
  }

  #store(object: unknown): void {
    const { grants } = readAssignment(assignmentSchema.parse(object).data.assignment);
    for (const { address, owner: node, generation } of grants.values()) {
      const known = this.#stored.get(address) ?? [];
      this.#stored.set(address, known);
      const isNew = known.every((each) => each.generation !== generation || each.node !== node);
      if (isNew) known.push({ node, generation });
    }
  }
}
