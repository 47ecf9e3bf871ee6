/**
 * One life of a cluster with virtual addresses: random faults for a while, then none. What must hold is
 * checked at each instant at which an address can begin to be answered for.
 */
import { randomFrom } from '../../kit/random.ts';
import { addressLease } from '../../../src/vip/coordination/cluster-api.ts';
import { electionOf, type StoredAssignment } from '../../../src/vip/coordination/stored-assignment.ts';
import type { Wanted } from '../../../src/vip/coordination/coordinator-model.ts';
import type { Election, NodeState } from '../../../src/vip/model.ts';
import { checkTiming, type LeaseTimes, type Timing } from '../../../src/vip/coordination/timing.ts';
import { EventQueue, localClock } from './events.ts';
import { FakeApi } from './fake-api.ts';
import { SimNode, type Bug, type NodeWorld } from './sim-node.ts';

export interface SimulationOptions {
  readonly seed: number;
  readonly bug?: Bug;
  readonly times?: LeaseTimes;
  /** How far clocks run apart, and what is allowed for. */
  readonly driftRate?: number;
  /** As nodes are told; `mixed`: some so and some so, and another way after each start. */
  readonly election?: Election | 'mixed';
}

export interface Outcome {
  readonly grants: number;
  readonly faults: number;
  readonly requests: number;
  /** From the end of all faults until everything is answered for, true time. */
  readonly healedAfterMs: number;
  /** How owners are found at the end. */
  readonly way: Election;
}

const timesToDraw: readonly LeaseTimes[] = [
  { leaseDurationMs: 5000, renewDeadlineMs: 3000, retryPeriodMs: 1000 },
  { leaseDurationMs: 3000, renewDeadlineMs: 1500, retryPeriodMs: 1000 },
  { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2000 },
  { leaseDurationMs: 1500, renewDeadlineMs: 800, retryPeriodMs: 300 },
];

/** @throws an Error that names the rule which did not hold, with the seed */
export function simulate(options: SimulationOptions): Outcome {
  const { seed, bug, driftRate = 0.001, election = 'coordinator' } = options;
  const random = randomFrom(seed);
  const between = (min: number, max: number) => min + random() * (max - min);
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;
  const timing = timingOf(options.times ?? pick(timesToDraw), driftRate);
  const queue = new EventQueue();
  const api = new FakeApi(queue, random);
  const addresses = Array.from(
    { length: 1 + Math.floor(random() * 6) },
    (_each, index) => `10.0.0.${String(index + 1)}`,
  );
  const nodes: SimNode[] = [];
  const log: string[] = [];
  const say = (text: string) => {
    log.push(`${queue.nowMs.toFixed(1)} ${text}`);
    if (log.length > 60) log.shift();
  };

  const must = (holds: boolean, rule: () => string) => {
    if (holds) return;
    const state = nodes.map((node) => node.describe()).join('\n');
    throw new Error(`seed ${String(seed)}, at ${queue.nowMs.toFixed(1)} ms: ${rule()}\n${log.join('\n')}\n${state}`);
  };
  const speakersOf = (address: string) => nodes.filter(({ kernel }) => kernel.speaks(address, queue.nowMs));

  const world: NodeWorld = {
    queue,
    api,
    random,
    timing,
    bug,
    electionOf: () => (election === 'mixed' ? pick(['coordinator', 'per-service'] as const) : election),
    wanted: {
      addresses: addresses.map((address) => ({ address, weight: 1 })),
      nodes: new Map(),
      policy: { mayRebalance: true, startAbove: 1.2, stopBelow: 1.1, restMs: 0, movesAtOnce: 2, movesPerHour: 1000 },
    },
    onSpeak() {
      for (const address of addresses) {
        const speakers = speakersOf(address);
        must(
          speakers.length <= 1,
          () => `${address} is answered for by ${speakers.map(({ name }) => name).join(' and ')}`,
        );
      }
    },
  };
  const want = (change: Partial<Wanted>) => {
    world.wanted = { ...world.wanted, ...change };
    for (const node of nodes) node.wish();
  };
  let grants = 0;
  api.onAssignment = (next, before) => {
    say(`assignment ${String(next.revision)} ${text(next)}`);
    grants += checkAssignment(next, before, bug, must);
  };

  const count = 2 + Math.floor(random() * 4);
  for (let index = 0; index < count; index += 1) {
    const rate = 1 + between(-driftRate / 2, driftRate / 2);
    nodes.push(new SimNode(`n${String(index)}`, localClock(queue, between(0, 1e6), rate), world));
  }
  for (const node of nodes) queue.after(between(0, 500), () => node.start());

  const D = timing.leaseDurationMs;
  const calmFromMs = 3 * D + between(3, 12) * D;
  let faults = 0;
  for (let atMs = between(D / 2, 3 * D); atMs < calmFromMs; atMs += between(0.05, 2) * D) {
    faults += 1;
    queue.at(atMs, () => fault());
  }
  const fault = () => {
    const node = pick(nodes);
    const forMs = between(0.05, 2.5) * D;
    switch (Math.floor(random() * (election === 'coordinator' ? 10 : 13))) {
      case 0:
      case 1: {
        const cut = pick(['requests', 'answers', 'both'] as const);
        say(`${node.name} is cut off (${cut}) for ${forMs.toFixed(0)}`);
        node.link.cut = cut;
        queue.after(forMs, () => (node.link.cut = 'none'));
        return;
      }
      case 2:
        say(`the API hangs for ${forMs.toFixed(0)}`);
        api.hungUntilMs = queue.nowMs + forMs;
        return;
      case 3:
        say(`etcd fails for ${forMs.toFixed(0)}`);
        api.errorShare = between(0.1, 1);
        queue.after(forMs, () => (api.errorShare = 0));
        return;
      case 4:
      case 5:
        say(`${node.name} is frozen for ${forMs.toFixed(0)}`);
        node.frozenUntilMs = queue.nowMs + forMs;
        return;
      case 6:
        say(`${node.name} is killed`);
        node.kill();
        queue.after(between(0.01, 1.5) * D, () => node.start());
        return;
      case 7:
        say(`${node.name} is powered off`);
        node.powerOff();
        queue.after(forMs, () => node.powerOn());
        return;
      case 8:
        say(`${node.name} is stopped`);
        node.stop();
        queue.after(forMs, () => node.start());
        return;
      case 10: {
        const state = pick(['draining', 'cordoned', 'unready'] as const);
        say(`${node.name} is ${state} for ${forMs.toFixed(0)}`);
        const nodesWith = (change: readonly (readonly [string, { readonly state: NodeState }])[]) =>
          new Map([...[...world.wanted.nodes].filter(([name]) => name !== node.name), ...change]);
        want({ nodes: nodesWith([[node.name, { state }]]) });
        queue.after(forMs, () => want({ nodes: nodesWith([]) }));
        return;
      }
      case 11: {
        const address = pick(addresses);
        const eligible = new Set(nodes.filter(() => random() < 0.5).map(({ name }) => name));
        say(`${address} may be held by ${[...eligible].join(' ')} for ${forMs.toFixed(0)}`);
        const addressesWith = (change: object) =>
          world.wanted.addresses.map((each) => (each.address === address ? { address, weight: 1, ...change } : each));
        want({ addresses: addressesWith({ eligible }) });
        queue.after(forMs, () => want({ addresses: addressesWith({}) }));
        return;
      }
      case 12: {
        const address = pick(addresses);
        say(`${address} is pinned to ${node.name} for ${forMs.toFixed(0)}`);
        const pinned = (to: object) =>
          world.wanted.addresses.map((each) => (each.address === address ? { address, weight: 1, ...to } : each));
        want({ addresses: pinned({ pinnedTo: node.name }) });
        queue.after(forMs, () => want({ addresses: pinned({}) }));
        return;
      }
      default:
        say(`${node.name} sees no changes for ${forMs.toFixed(0)}`);
        node.link.isWatchStalled = true;
        queue.after(forMs, () => (node.link.isWatchStalled = false));
    }
  };

  queue.runUntil(calmFromMs);
  // The last faults end within 2.5 leases; what is cut or frozen then is well again.
  const isWhole = () => addresses.every((address) => speakersOf(address).length === 1);
  const boundMs = 2.5 * D + 8 * D + 20_000;
  let healedAfterMs = 0;
  for (const node of nodes) {
    queue.at(calmFromMs + 2.5 * D, () => {
      if (node.isOn) node.start();
      else node.powerOn();
    });
  }
  // A node that was away tries again every 5 s, and then gets its share.
  const settleMs = 3 * D + 8000;
  let wholeSinceMs: number | undefined;
  while (queue.nowMs < calmFromMs + boundMs) {
    queue.runUntil(queue.nowMs + 50);
    if (!isWhole()) wholeSinceMs = undefined;
    else wholeSinceMs ??= queue.nowMs;
    if (wholeSinceMs !== undefined && queue.nowMs > calmFromMs + 2.5 * D && queue.nowMs - wholeSinceMs > settleMs)
      break;
  }
  if (wholeSinceMs !== undefined) healedAfterMs = Math.max(wholeSinceMs - calmFromMs - 2.5 * D, 0);
  const missing = () => addresses.filter((address) => speakersOf(address).length !== 1).join(' ');
  must(
    wholeSinceMs !== undefined,
    () => `nobody answers for ${missing()} ${String(Math.round(boundMs))} ms after the last fault`,
  );
  const before = grants;
  queue.runUntil(queue.nowMs + 3 * D);
  must(
    isWhole() && grants === before,
    () => `without a fault, addresses move: ${String(grants - before)} grants; missing ${missing()}`,
  );
  // Each fault can take everything from a node and give it back; evening out costs a share more.
  must(
    grants <= addresses.length * (2 + 3 * faults + count),
    () => `${String(grants)} grants for ${String(faults)} faults`,
  );
  const way = electionOf(api.assignment.assignment);
  must(election === 'mixed' || way === election, () => `the cluster finds owners by ${way}`);
  for (const address of way === 'per-service' ? addresses : []) {
    const holder = api.leases.get(addressLease(address))?.holder;
    const [speaker] = speakersOf(address);
    must(holder?.split('-')[0] === speaker?.name, () => `${address} was won by ${holder ?? 'nobody'}`);
  }
  return { grants, faults, requests: api.requests, healedAfterMs, way };
}

function timingOf(times: LeaseTimes, driftRate: number): Timing {
  const checked = checkTiming(times, { withdrawMs: 20, timerErrorMs: 10, driftRate });
  if (!checked.ok) throw new Error(checked.error.map(({ reason }) => reason).join('; '));
  return checked.value;
}

const text = ({ grants, epoch, election }: StoredAssignment) =>
  `epoch ${String(epoch)}${election === undefined ? '' : `, ${election}`}: ${[...grants.values()].map(({ address, owner, state, next, generation }) => `${address.slice(7)}→${owner}${state === 'granted' ? '' : `⇢${next ?? '-'}`}#${String(generation)}`).join(' ')}`;

/** @returns how many grants are new */
function checkAssignment(
  next: StoredAssignment,
  before: StoredAssignment,
  bug: Bug | undefined,
  must: (holds: boolean, rule: () => string) => void,
): number {
  must(next.revision === before.revision + 1, () => 'a revision was skipped');
  must(next.lastGeneration >= before.lastGeneration, () => 'generations have fallen');
  let grants = 0;
  for (const grant of next.grants.values()) {
    const earlier = before.grants.get(grant.address);
    if (earlier !== undefined)
      must(grant.generation >= earlier.generation, () => `the generation of ${grant.address} falls`);
    if (earlier?.generation === grant.generation) {
      must(earlier.owner === grant.owner, () => `${grant.address} has another owner under the same generation`);
      must(
        earlier.state === 'granted' || grant.state === 'revoking',
        () => `${grant.address} is granted again under the same generation`,
      );
      continue;
    }
    grants += 1;
    if (bug !== 'grant without waiting')
      must(earlier?.state !== 'granted', () => `${grant.address} was granted to two`);
  }
  return grants;
}
