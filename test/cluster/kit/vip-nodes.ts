/**
 * Several nodes with virtual addresses against a real API, in this process: everything of them is real
 * but the kernel, in whose place is a journal of what would have been answered for, and until when.
 */
import { readCredentials, kubeClient, type KubeClient } from '../../../src/cluster/kube-client.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import type { HowToTake, VipActuator } from '../../../src/vip/actuator.ts';
import type { AssignmentKube } from '../../../src/vip/coordination/cluster-api.ts';
import type { Wanted } from '../../../src/vip/coordination/coordinator-model.ts';
import type { Timing } from '../../../src/vip/coordination/timing.ts';
import type { Election } from '../../../src/vip/model.ts';
import { serveVip, type VipView } from '../../../src/vip/serve-vip.ts';
import type { VipEvent } from '../../../src/vip/vip-event.ts';
import { plan } from '../../../src/vip/plan/plan.ts';

const now = () => systemClock.monotonicMs();

/** When a node answered for an address. */
export interface Spell {
  readonly node: string;
  readonly address: string;
  readonly fromMs: number;
  untilMs: number;
}

/** Of all nodes, so that they can be compared. */
export class Speech {
  readonly spells: Spell[] = [];

  speakers(address: string): readonly string[] {
    const atMs = now();
    return this.spells.filter((spell) => spell.address === address && atMs < spell.untilMs).map(({ node }) => node);
  }

  /** Spells of one address by two nodes at a time. */
  overlaps(): readonly string[] {
    return this.spells.flatMap((a, index) =>
      this.spells
        .slice(index + 1)
        .filter((b) => a.address === b.address && a.node !== b.node && a.fromMs < b.untilMs && b.fromMs < a.untilMs)
        .map((b) => `${a.address}: ${a.node} and ${b.node}`),
    );
  }
}

/** A kernel that only keeps a journal; its dead man's switch is arithmetic. */
class JournalActuator implements VipActuator {
  readonly #node: string;
  readonly #speech: Speech;
  readonly #open = new Map<string, Spell>();
  readonly #present = new Set<string>();
  #deadlineMs = 0;

  constructor(node: string, speech: Speech) {
    this.#node = node;
    this.#speech = speech;
  }

  cleanUp() {
    return Promise.resolve([]);
  }

  prepare(addresses: readonly string[]) {
    for (const address of addresses) this.#present.add(address);
    return Promise.resolve(addresses.map((address) => ({ address })));
  }

  async take(addresses: readonly string[], { deadlineMs }: HowToTake, signal: AbortSignal) {
    this.#deadlineMs = Math.max(this.#deadlineMs, deadlineMs);
    await new Promise((resolve) => setTimeout(resolve, 20));
    signal.throwIfAborted();
    for (const address of addresses) {
      this.#present.add(address);
      this.#close(address);
      const spell = { node: this.#node, address, fromMs: now(), untilMs: this.#deadlineMs };
      this.#open.set(address, spell);
      this.#speech.spells.push(spell);
    }
    return addresses.map((address) => ({ address }));
  }

  silence(addresses: readonly string[]) {
    for (const address of addresses) this.#close(address);
    return Promise.resolve();
  }

  drop(addresses: readonly string[]) {
    for (const address of addresses) {
      this.#close(address);
      this.#present.delete(address);
    }
    return Promise.resolve();
  }

  arm(deadlineMs: number) {
    this.#deadlineMs = deadlineMs;
    for (const [address, spell] of this.#open) {
      if (spell.untilMs >= now()) {
        spell.untilMs = Math.max(deadlineMs, now());
        continue;
      }
      // It was closed by itself meanwhile: it opens again, as the kernel's would.
      const again = { node: this.#node, address, fromMs: now(), untilMs: Math.max(deadlineMs, now()) };
      this.#open.set(address, again);
      this.#speech.spells.push(again);
    }
    return Promise.resolve();
  }

  held() {
    const held = [...this.#present].map((address) => ({
      address,
      interface: 'journal',
      open: this.#open.has(address),
    }));
    return Promise.resolve(held);
  }

  [Symbol.asyncDispose]() {
    return this.drop([...this.#present]);
  }

  #close(address: string): void {
    const spell = this.#open.get(address);
    if (spell !== undefined) spell.untilMs = Math.min(spell.untilMs, now());
    this.#open.delete(address);
  }
}

export interface VipNode {
  readonly name: string;
  readonly events: readonly { readonly atMs: number; readonly event: VipEvent }[];
  readonly view: VipView;
  /** Its requests get no answer any more, and nothing of it is done: as good as dead. */
  kill(): void;
  /** As SIGTERM does. */
  stop(): Promise<void>;
}

export interface VipNodesOptions {
  readonly url: string;
  /** Folder with the administrator's certificate. */
  readonly tls: string;
  readonly addresses: readonly string[];
  readonly timing: Timing;
  /** Until then nothing is wanted. */
  readonly holdBack?: Promise<unknown>;
  /** As each node is told. */
  readonly election?: Election;
}

export class VipNodes implements AsyncDisposable {
  readonly speech = new Speech();
  readonly nodes: VipNode[] = [];
  requests = 0;
  readonly #options: VipNodesOptions;
  readonly #clients: KubeClient[] = [];
  #starts = 0;

  constructor(options: VipNodesOptions) {
    this.#options = options;
  }

  async start(name: string): Promise<VipNode> {
    const { url, tls, addresses, timing, holdBack } = this.#options;
    const credentials = await readCredentials(url, tls, 'client-admin');
    const controller = new AbortController();
    const client = (): AssignmentKube => {
      const kube = kubeClient(credentials, systemClock);
      this.#clients.push(kube);
      let isDead = false;
      controller.signal.addEventListener('abort', () => (isDead = controller.signal.reason === killed));
      const counted = <T>(answer: () => Promise<T>) => {
        this.requests += 1;
        return isDead ? new Promise<T>(() => undefined) : answer();
      };
      return {
        get: (path, signal) => counted(() => kube.get(path, signal)),
        create: (path, body, signal) => counted(() => kube.create(path, body, signal)),
        replace: (path, body, signal) => counted(() => kube.replace(path, body, signal)),
        watch: (path, query, signal) => {
          this.requests += 1;
          return kube.watch(path, query, signal);
        },
      };
    };
    const [forLeases, forOthers] = [client(), client()];
    const events: { atMs: number; event: VipEvent }[] = [];
    this.#starts += 1;
    let isKilled = false;
    const journal = new JournalActuator(name, this.speech);
    const never = () => new Promise<never>(() => undefined);
    const actuator = new Proxy(journal, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key);
        return typeof value !== 'function' ? value : isKilled ? never : (value.bind(target) as unknown);
      },
    });
    let onReady: (view: VipView) => void = () => undefined;
    const ready = new Promise<VipView>((resolve) => (onReady = resolve));
    const ended = serveVip({
      node: name,
      identity: `${name}-${String(this.#starts)}`,
      earlier: undefined,
      namespace: 'kube-system',
      timing,
      lingerMs: 200,
      capacity: 1,
      connectForLeases: () => Promise.resolve(forLeases),
      connect: () => Promise.resolve(forOthers),
      actuator,
      async *followWanted(signal) {
        await holdBack;
        yield wantedOf(addresses);
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      },
      plan,
      election: this.#options.election,
      clock: systemClock,
      bootMs: now,
      random: Math.random,
      onEvent: (event) => events.push({ atMs: now(), event }),
      onReady,
      signal: controller.signal,
    }).catch(() => undefined);
    const node: VipNode = {
      name,
      events,
      view: await ready,
      kill() {
        isKilled = true;
        controller.abort(killed);
      },
      async stop() {
        controller.abort(new Error('it is being stopped'));
        await ended;
      },
    };
    this.nodes.push(node);
    return node;
  }

  /** How many addresses each node answers for now. */
  shares(): Readonly<Record<string, number>> {
    const shares: Record<string, number> = {};
    for (const address of this.#options.addresses) {
      for (const node of this.speech.speakers(address)) shares[node] = (shares[node] ?? 0) + 1;
    }
    return shares;
  }

  isWhole(): boolean {
    return this.#options.addresses.every((address) => this.speech.speakers(address).length === 1);
  }

  eventsOf<T extends VipEvent['type']>(
    type: T,
  ): readonly (Extract<VipEvent, { type: T }> & { readonly atMs: number })[] {
    const isOne = (event: VipEvent): event is Extract<VipEvent, { type: T }> => event.type === type;
    return this.nodes
      .flatMap(({ events }) => events)
      .flatMap(({ atMs, event }) => (isOne(event) ? [{ ...event, atMs }] : []))
      .sort((a, b) => a.atMs - b.atMs);
  }

  async [Symbol.asyncDispose]() {
    await Promise.all(this.nodes.map((node) => node.stop()));
    for (const client of this.#clients) client[Symbol.dispose]();
  }
}

const killed = new Error('it was killed');

/** Moves begin when a node has so many times its share. */
export const startAbove = 1.2;

const wantedOf = (addresses: readonly string[]): Wanted => ({
  addresses: addresses.map((address) => ({ address, weight: 1 })),
  nodes: new Map(),
  policy: { mayRebalance: true, startAbove, stopBelow: 1.1, restMs: 0, movesAtOnce: 2, movesPerHour: 1000 },
});
