/**
 * A node of the simulation: the real machines (both Leases, agent, coordinator), driven by events
 * instead of by sockets and timers; its process may be frozen, killed and started again.
 */
import { newAgent, stepAgent } from '../../../src/vip/coordination/agent.ts';
import type { AgentEffect, AgentInput, AgentRules, AgentState } from '../../../src/vip/coordination/agent-model.ts';
import { newCoordinator, stepCoordinator } from '../../../src/vip/coordination/coordinator.ts';
import type {
  Candidacy,
  CoordinatorEffect,
  CoordinatorInput,
  CoordinatorRules,
  CoordinatorState,
  Wanted,
} from '../../../src/vip/coordination/coordinator-model.ts';
import { addressLease, addressOfLease } from '../../../src/vip/coordination/cluster-api.ts';
import { newLease, stepLease } from '../../../src/vip/coordination/lease-machine.ts';
import type { LeaseEffect, LeaseInput, LeaseMachine, LeaseRules } from '../../../src/vip/coordination/lease-model.ts';
import type { Timing } from '../../../src/vip/coordination/timing.ts';
import type { EventQueue, LocalClock } from './events.ts';
import type { FakeApi, Link } from './fake-api.ts';
import { FakeKernel } from './fake-kernel.ts';
import { notes } from '../../../src/vip/coordination/stored-assignment.ts';
import type { Election, VipAddress } from '../../../src/vip/model.ts';
import { flapHalfLifeMs } from '../../../src/vip/plan/flap-penalty.ts';
import { plan } from '../../../src/vip/plan/plan.ts';

/** Mistakes that can be planted, to see that they are found. */
export type Bug =
  | 'deadline from the answer'
  | 'release before withdraw'
  | 'grant without waiting'
  | 'no margin'
  | 'old view in a new tenure'
  | 'no confirmation'
  | 'no dead man’s switch'
  | 'acknowledged before silent'
  | 'unanswered counts as done'
  | 'an heir speaks';

export interface NodeWorld {
  readonly queue: EventQueue;
  readonly api: FakeApi;
  readonly random: () => number;
  readonly timing: Timing;
  /** Changes; a node is told of it by `wish`. */
  wanted: Wanted;
  /** As a node is told; it may be told otherwise by its next start. */
  readonly electionOf: (node: string) => Election;
  readonly bug: Bug | undefined;
  onSpeak(): void;
}

const coordinatorLease = 'vip-coordinator';
export const nodeLease = (node: string): string => `vip-node-${node}`;
/** Between the parts of a process; the same always, as what was said first comes first. */
const hopMs = 1;
const drawDelay = (random: () => number) => 1 + random() * 4;

export class SimNode {
  readonly name: string;
  readonly clock: LocalClock;
  readonly link: Link = { cut: 'none', isWatchStalled: false };
  readonly kernel: FakeKernel;
  frozenUntilMs = 0;
  isOn = true;
  readonly #world: NodeWorld;
  #incarnation = 0;
  #process: SimProcess | undefined;

  constructor(name: string, clock: LocalClock, world: NodeWorld) {
    this.name = name;
    this.clock = clock;
    this.#world = world;
    this.kernel = new FakeKernel(() => world.onSpeak());
  }

  start(): void {
    if (this.#process !== undefined || !this.isOn) return;
    this.kernel.cleanUp();
    const earlier = Array.from({ length: this.#incarnation }, (_each, index) => `${this.name}-${String(index + 1)}`);
    this.#incarnation += 1;
    this.#process = new SimProcess(this, this.#world, `${this.name}-${String(this.#incarnation)}`, new Set(earlier));
    this.#process.begin();
  }

  kill(): void {
    this.#process?.end();
    this.#process = undefined;
  }

  /** Tells it to end: it withdraws and releases first. */
  stop(): void {
    this.#process?.stop();
  }

  powerOff(): void {
    this.kill();
    this.kernel.cleanUp();
    this.isOn = false;
  }

  powerOn(): void {
    this.isOn = true;
    this.start();
  }

  /** It hears of what is wanted now, if it runs; else when it starts. */
  wish(): void {
    this.#process?.wish();
  }

  get isRunning(): boolean {
    return this.#process !== undefined;
  }

  describe(): string {
    return `${this.name}: ${this.#process?.describe() ?? 'off'}, cut ${this.link.cut}, armed until ${this.kernel.armedUntilMs.toFixed(0)}, open ${[...this.kernel.open].join(' ')}`;
  }
}

class SimProcess {
  readonly #node: SimNode;
  readonly #world: NodeWorld;
  readonly #agentRules: AgentRules;
  readonly #coordinatorRules: CoordinatorRules;
  /** The node's own, the coordinator's, and those of addresses. */
  readonly #leases: { readonly rules: LeaseRules; machine: LeaseMachine; wake: number; tenure?: number }[];
  readonly #rulesOf: (lease: string, isNodes: boolean) => LeaseRules;
  #competing: ReadonlyMap<VipAddress, number> = new Map();
  #agent: AgentState = newAgent;
  #coordinator: CoordinatorState = newCoordinator;
  #agentWake = 0;
  #coordinatorWake = 0;
  #isAlive = true;
  #isWatching = false;
  #isStopping = false;
  #hasEnded = false;

  constructor(node: SimNode, world: NodeWorld, identity: string, ownEarlier: ReadonlySet<string>) {
    const { timing, bug } = world;
    this.#node = node;
    this.#world = world;
    const election = world.electionOf(node.name);
    const said = election === 'per-service' ? { [notes.election]: election } : {};
    this.#agentRules = { node: node.name, lingerMs: 300, notes: said, withdrawMs: timing.withdrawMs };
    this.#coordinatorRules = {
      node: node.name,
      plan,
      graceMs: bug === 'no margin' ? 0 : timing.graceMs,
      leaseDurationMs: timing.leaseDurationMs,
      standbys: 2,
      flapHalfLifeMs,
      election,
    };
    this.#rulesOf = (lease: string, isNodes: boolean): LeaseRules => ({
      lease,
      identity,
      ownEarlier: lease === coordinatorLease ? new Set() : ownEarlier,
      timing: bug === 'no margin' ? { ...timing, marginMs: 0, graceMs: 0, withdrawMs: 0 } : timing,
      isWatched: !isNodes,
      coolDownMs: isNodes ? 0 : timing.retryPeriodMs,
    });
    this.#leases = [this.#rulesOf(nodeLease(node.name), true), this.#rulesOf(coordinatorLease, false)].map((each) => ({
      rules: each,
      machine: newLease,
      wake: 0,
    }));
  }

  begin(): void {
    this.#giveLease(0, { type: 'want' });
    this.#post(this.#world.random() * 50, () => this.#giveLease(1, { type: 'want' }));
    this.#post(0, () => this.#giveCoordinator({ type: 'wanted', wanted: this.#world.wanted }));
    this.#world.api.watch(
      this.#node.link,
      () => this.#isAlive,
      (key) => this.#post(0, () => this.#onWatch(key)),
    );
  }

  wish(): void {
    this.#post(this.#world.random() * 200, () => this.#giveCoordinator({ type: 'wanted', wanted: this.#world.wanted }));
  }

  end(): void {
    this.#isAlive = false;
  }

  stop(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#post(0, () => this.#giveAgent({ type: 'leaving' }));
    // As long as the others may take it over (vip/hand-over).
    this.#endWhenEmpty(this.#now() + 3000);
  }

  #endWhenEmpty(atLatestMs: number): void {
    this.#post(20, () => {
      if (this.#agent.holdings.size > 0 && this.#now() < atLatestMs) {
        this.#endWhenEmpty(atLatestMs);
        return;
      }
      this.#hasEnded = true;
      for (let index = 2; index < this.#leases.length; index += 1) this.#giveLease(index, { type: 'stop' });
      this.#giveLease(1, { type: 'stop' });
      this.#giveLease(0, { type: 'stop' });
    });
  }

  describe(): string {
    const [own, election] = this.#leases;
    return `${String(own?.machine.state.id)}, coordinator ${String(election?.machine.state.id)} (${String(this.#coordinator.epoch)}), holdings ${JSON.stringify([...this.#agent.holdings])}, view ${String(this.#agent.view?.revision)} fresh ${String(this.#agent.isFresh)}`;
  }

  /** Runs in this process, when it runs again. */
  #post(delayMs: number, run: () => void): void {
    const { queue } = this.#world;
    const attempt = () => {
      if (!this.#isAlive) return;
      if (queue.nowMs < this.#node.frozenUntilMs) queue.at(this.#node.frozenUntilMs, attempt);
      else run();
    };
    queue.after(delayMs, attempt);
  }

  #now(): number {
    return this.#node.clock.now();
  }

  #wakeAt(localMs: number | undefined, isCurrent: () => boolean, run: () => void): void {
    if (localMs === undefined || !Number.isFinite(localMs)) return;
    const { queue } = this.#world;
    // A timer fires a little late, never early.
    const atMs = this.#node.clock.trueTime(localMs) + 0.01 + this.#world.random() * 2;
    this.#post(Math.max(atMs - queue.nowMs, 0.01), () => {
      if (isCurrent()) run();
    });
  }

  #onWatch(key: string): void {
    const { api } = this.#world;
    if (key === 'assignment') {
      this.#giveAgent({ type: 'seen', assignment: api.assignment.assignment });
      this.#giveCoordinator({ type: 'seen', assignment: api.assignment.assignment });
      return;
    }
    const record = api.leases.get(key);
    const address = addressOfLease(key);
    if (key === coordinatorLease) this.#giveLease(1, { type: 'seen', record });
    else if (address !== undefined) {
      this.#giveLease(this.#leaseOf(address), { type: 'seen', record });
      this.#giveCoordinator({ type: 'address lease', address, holder: record?.holder });
    } else this.#giveCoordinator({ type: 'lease', node: key.replace('vip-node-', ''), record });
    if (!this.#isWatching) {
      this.#isWatching = true;
      this.#post(20, () => this.#giveCoordinator({ type: 'synced' }));
    }
  }

  #leaseOf(address: VipAddress): number {
    const name = addressLease(address);
    const known = this.#leases.findIndex(({ rules }) => rules.lease === name);
    if (known >= 0) return known;
    const yieldMs = () => this.#competing.get(address) ?? 0;
    this.#leases.push({ rules: { ...this.#rulesOf(name, false), yieldMs }, machine: newLease, wake: 0 });
    return this.#leases.length - 1;
  }

  #compete(candidacies: readonly Candidacy[]): void {
    if (this.#hasEnded) return;
    const before = this.#competing;
    const now = new Map(candidacies.map(({ address, afterMs }) => [address, afterMs]));
    this.#competing = now;
    for (const each of before.keys()) if (!now.has(each)) this.#giveLease(this.#leaseOf(each), { type: 'stop' });
    for (const each of now.keys()) if (!before.has(each)) this.#giveLease(this.#leaseOf(each), { type: 'want' });
  }

  #giveLease(index: number, input: LeaseInput): void {
    const lease = this.#leases[index];
    if (lease === undefined || !this.#isAlive) return;
    const nowMs = this.#now();
    if (this.#world.bug === 'deadline from the answer' && input.type === 'written' && 'call' in lease.machine.state) {
      const { state } = lease.machine;
      if (state.call !== undefined) {
        lease.machine = {
          ...lease.machine,
          state: { ...state, call: { ...state.call, sentAtMs: nowMs } },
        };
      }
    }
    const step = stepLease(lease.machine, input, lease.rules, { nowMs, bootMs: nowMs, random: this.#world.random });
    lease.machine = step.machine;
    lease.wake += 1;
    const { wake } = lease;
    this.#wakeAt(
      step.wakeAtMs,
      () => lease.wake === wake,
      () => this.#giveLease(index, { type: 'wake' }),
    );
    for (const effect of step.effects) this.#doLease(index, effect);
  }

  #doLease(index: number, effect: LeaseEffect): void {
    const { api, bug } = this.#world;
    const { link } = this.#node;
    const name = this.#leases[index]?.rules.lease ?? '';
    const hop = (run: () => void) => this.#post(hopMs, run);
    switch (effect.type) {
      case 'read':
        api.readLease(link, name, effect.limitMs, (answer) =>
          this.#post(0, () =>
            this.#giveLease(
              index,
              answer.ok
                ? { type: 'read', call: effect.call, record: answer.value }
                : { type: 'failed', call: effect.call, verdict: answer.verdict },
            ),
          ),
        );
        return;
      case 'write':
        api.writeLease(link, name, effect.draft, effect.limitMs, (answer) =>
          this.#post(0, () => {
            if (answer.ok) this.#giveLease(index, { type: 'written', call: effect.call, record: answer.value });
            else if (
              bug === 'unanswered counts as done' &&
              answer.verdict.class === 'ambiguous' &&
              effect.draft.holder !== ''
            ) {
              const known = this.#leases[index]?.machine.seen?.record;
              const record = { ...effect.draft, version: known?.version ?? '0', uid: known?.uid ?? '0' };
              this.#giveLease(index, { type: 'written', call: effect.call, record });
            } else this.#giveLease(index, { type: 'failed', call: effect.call, verdict: answer.verdict });
          }),
        );
        return;
      case 'allow':
        if (index === 1) {
          hop(() => this.#giveCoordinator({ type: 'elected', epoch: effect.record.transitions }, effect.tenure));
          return;
        }
        if (index > 1) {
          const lease = this.#leases[index];
          const address = addressOfLease(name);
          if (lease === undefined || address === undefined || lease.tenure === effect.tenure) return;
          lease.tenure = effect.tenure;
          hop(() => this.#giveCoordinator({ type: 'address', address, isElected: true }));
          return;
        }
        // The worker arms by itself.
        this.#node.kernel.arm(
          bug === 'no dead man’s switch' ? Number.POSITIVE_INFINITY : this.#node.clock.trueTime(effect.deadlineMs),
        );
        hop(() => this.#giveAgent({ type: 'allowed', tenure: effect.tenure, deadlineMs: effect.deadlineMs }));
        return;
      case 'withdraw':
        if (index === 1) {
          hop(() => {
            this.#giveCoordinator({ type: 'deposed' });
            hop(() => this.#giveLease(1, { type: 'withdrawn', tenure: effect.tenure }));
          });
          return;
        }
        if (index > 1) {
          const address = addressOfLease(name) ?? '';
          hop(() => {
            this.#giveCoordinator({ type: 'address', address, isElected: false });
            hop(() => this.#giveLease(index, { type: 'withdrawn', tenure: effect.tenure }));
          });
          return;
        }
        if (bug === 'release before withdraw') this.#giveLease(0, { type: 'withdrawn', tenure: effect.tenure });
        else if (bug !== 'no dead man’s switch') this.#node.kernel.arm(0);
        hop(() => this.#giveAgent({ type: 'withdraw', tenure: effect.tenure }));
        return;
      case 'idle':
        if (index === 0 && this.#isStopping) this.#node.kill();
        return;
      case 'tell':
        return;
    }
  }

  #giveAgent(input: AgentInput): void {
    if (!this.#isAlive) return;
    const isBlind = this.#world.bug === 'old view in a new tenure' && this.#agent.view !== undefined;
    if (isBlind && input.type === 'allowed') {
      const { tenure, deadlineMs } = input;
      this.#agent = { ...this.#agent, allowed: { tenure, deadlineMs }, isFresh: true };
    }
    const step = stepAgent(this.#agent, input, this.#agentRules, this.#now());
    this.#agent = step.state;
    this.#agentWake += 1;
    const wake = this.#agentWake;
    this.#wakeAt(
      step.wakeAtMs,
      () => this.#agentWake === wake,
      () => this.#giveAgent({ type: 'wake' }),
    );
    for (const effect of step.effects) this.#doAgent(effect);
  }

  #doAgent(effect: AgentEffect): void {
    const { api, queue, random, bug } = this.#world;
    const { kernel, link } = this.#node;
    /** The kernel does it whether or not the process is frozen meanwhile; only it hears of it later. */
    const kernelDoes = (delayMs: number, run: () => void, input: AgentInput) =>
      queue.after(delayMs, () => {
        if (!this.#isAlive) return;
        run();
        this.#post(0, () => this.#giveAgent(input));
      });
    switch (effect.type) {
      case 'read':
        api.readAssignment(link, (answer) =>
          this.#post(0, () =>
            this.#giveAgent(
              answer.ok
                ? { type: 'read', call: effect.call, assignment: answer.value.assignment }
                : { type: 'read failed', call: effect.call },
            ),
          ),
        );
        return;
      case 'prepare':
        kernelDoes(
          20 + random() * 100,
          () => {
            for (const address of effect.addresses) {
              kernel.present.add(address);
              if (bug === 'an heir speaks') kernel.take(address);
            }
          },
          { type: 'prepared', outcomes: effect.addresses.map((address) => ({ address })) },
        );
        return;
      case 'take':
        kernelDoes(20 + random() * 100, () => effect.addresses.forEach((address) => kernel.take(address)), {
          type: 'taken',
          outcomes: effect.addresses.map((address) => ({ address })),
        });
        return;
      case 'silence': {
        const delayMs =
          bug === 'release before withdraw' || bug === 'acknowledged before silent' ? 150 : drawDelay(random);
        kernelDoes(delayMs, () => effect.addresses.forEach((address) => kernel.silence(address)), {
          type: 'silenced',
          addresses: effect.addresses,
        });
        if (bug === 'acknowledged before silent') {
          this.#post(0, () => this.#giveAgent({ type: 'silenced', addresses: effect.addresses }));
        }
        return;
      }
      case 'drop':
        kernelDoes(drawDelay(random), () => effect.addresses.forEach((address) => kernel.drop(address)), {
          type: 'dropped',
          addresses: effect.addresses,
        });
        return;
      case 'verify':
        this.#post(drawDelay(random), () => this.#giveAgent({ type: 'verified', left: [...kernel.present] }));
        return;
      case 'publish':
        this.#post(hopMs, () => this.#giveLease(0, { type: 'publish', notes: effect.notes }));
        return;
      case 'withdrawn':
        this.#post(random() * 2, () => this.#giveLease(0, { type: 'withdrawn', tenure: effect.tenure }));
        return;
      case 'tell':
        return;
    }
  }

  #electedTenure = 0;

  #giveCoordinator(input: CoordinatorInput, tenure?: number): void {
    if (!this.#isAlive) return;
    // Each renewal allows it anew; only the first of a tenure is an election.
    if (input.type === 'elected') {
      if (tenure === this.#electedTenure) return;
      this.#electedTenure = tenure ?? 0;
    }
    const step = stepCoordinator(this.#coordinator, input, this.#coordinatorRules, this.#now());
    this.#coordinator = step.state;
    this.#coordinatorWake += 1;
    const wake = this.#coordinatorWake;
    this.#wakeAt(
      step.wakeAtMs,
      () => this.#coordinatorWake === wake,
      () => this.#giveCoordinator({ type: 'wake' }),
    );
    for (const effect of step.effects) this.#doCoordinator(effect);
  }

  #doCoordinator(effect: CoordinatorEffect): void {
    const { api, bug } = this.#world;
    const { link } = this.#node;
    switch (effect.type) {
      case 'read':
        api.readAssignment(link, (answer) =>
          this.#post(0, () =>
            this.#giveCoordinator(
              answer.ok
                ? { type: 'read', call: effect.call, stored: answer.value }
                : { type: 'failed', call: effect.call, ...answer.verdict },
            ),
          ),
        );
        return;
      case 'write': {
        const { assignment } = effect;
        if (bug === 'grant without waiting') {
          const grants = new Map(assignment.grants);
          for (const [address, grant] of grants) {
            if (grant.state !== 'revoking' || grant.next === undefined) continue;
            const { next, generation } = grant;
            grants.set(address, { address, owner: next, state: 'granted', generation: generation + 1000 });
          }
          (assignment as unknown as { grants: typeof grants }).grants = grants;
        }
        api.writeAssignment(link, effect.version, assignment, (answer) =>
          this.#post(0, () =>
            this.#giveCoordinator(
              answer.ok
                ? { type: 'written', call: effect.call, version: answer.value }
                : { type: 'failed', call: effect.call, ...answer.verdict },
            ),
          ),
        );
        return;
      }
      case 'confirm': {
        if (bug === 'no confirmation') {
          const record = this.#coordinator.leases.get(effect.node)?.record;
          this.#post(0, () => this.#giveCoordinator({ type: 'confirmed', call: effect.call, record }));
          return;
        }
        api.readLease(link, nodeLease(effect.node), 1000, (answer) =>
          this.#post(0, () =>
            this.#giveCoordinator(
              answer.ok
                ? { type: 'confirmed', call: effect.call, record: answer.value }
                : { type: 'failed', call: effect.call, ...answer.verdict },
            ),
          ),
        );
        return;
      }
      case 'compete':
        this.#post(hopMs, () => this.#compete(effect.candidacies));
        return;
      case 'tell':
        return;
    }
  }
}
