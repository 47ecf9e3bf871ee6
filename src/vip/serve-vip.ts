/**
 * The service behind the unit `vip`: this node's part in who answers for which virtual address, with
 * everything connected. Two Leases are held here (the node's own, and the coordinator's when it is its
 * turn), the assignment is followed, and the actuator does what both allow.
 *
 * On the way out others are asked to take over, and given the time for it. What is left then falls silent, is
 * removed and read back, and the Leases are given back.
 */
import { setMaxListeners } from 'node:events';
import { abortError, linkedAbort, onAbort } from '../kernel/abort.ts';
import { sleep, type Clock } from '../kernel/clock.ts';
import { deferred } from '../kernel/deferred.ts';
import { messageOf } from '../kernel/message-of.ts';
import { saidOnce } from '../kernel/said-once.ts';
import type { Probe } from '../probe/probe.ts';
import type { VipActuator } from './actuator.ts';
import { addressElections, type AddressElections } from './coordination/address-elections.ts';
import { agentDriver } from './coordination/agent-driver.ts';
import type { AgentState } from './coordination/agent-model.ts';
import {
  addressLease,
  addressOfLease,
  clusterApi,
  coordinatorLease,
  nodeLease,
  nodeOfLease,
  type AssignmentKube,
} from './coordination/cluster-api.ts';
import { coordinatorDriver } from './coordination/coordinator-driver.ts';
import type { CoordinatorRules, CoordinatorState, Wanted } from './coordination/coordinator-model.ts';
import { leaseHolder, type LeaseView } from './coordination/lease-holder.ts';
import type { LeaseRecord, LeaseRules } from './coordination/lease-model.ts';
import { electionOf, notes } from './coordination/stored-assignment.ts';
import type { Timing } from './coordination/timing.ts';
import { answerWithinMs, followApiServer } from './follow-api-server.ts';
import { handOver } from './hand-over.ts';
import { keepFollowing } from './keep-following.ts';
import type { Balance, Election, NodeName, VipAddress } from './model.ts';
import type { HoldOwnLease, OwnLease } from './own-lease.ts';
import { flapHalfLifeMs } from './plan/flap-penalty.ts';
import type { Plan, PlanInput } from './plan/plan-model.ts';
import { followTraffic } from './traffic/follow-traffic.ts';
import type { TrafficMeter } from './traffic/traffic-meter.ts';
import type { VipEvent } from './vip-event.ts';

export interface ServeVipOptions {
  readonly node: NodeName;
  /** Of this process alone: another one of the same node is another holder. */
  readonly identity: string;
  /** The process before this one on this machine, which is known to be gone. */
  readonly earlier: string | undefined;
  readonly namespace: string;
  readonly timing: Timing;
  readonly lingerMs: number;
  readonly capacity: number;
  /** How owners are to be found; absent: by the coordinator. */
  readonly election?: Election | undefined;
  /** What is evened out; absent: the count. */
  readonly balance?: Balance | undefined;
  /** Where that is the load: what counts it. */
  readonly meter?: TrafficMeter | undefined;
  /** See `CoordinatorRules`. */
  readonly flapHalfLifeMs?: number | undefined;
  /** For Leases that are held in this thread: nothing that is large or slow is before their renewals. */
  readonly connectForLeases: () => Promise<AssignmentKube>;
  /** Who holds the node's own Lease, and feeds the kernel's switch; undefined: this thread. */
  readonly holdOwn?: HoldOwnLease | undefined;
  readonly connect: () => Promise<AssignmentKube>;
  readonly actuator: VipActuator;
  /** What there is to be assigned; each new value takes the place of the last. Only the coordinator's counts. */
  readonly followWanted: (signal: AbortSignal) => AsyncIterable<Wanted>;
  readonly plan: (input: PlanInput) => Plan;
  /** This machine's API server, if it shares an address with others. */
  readonly apiServer?: { readonly vip: VipAddress; readonly probe: Probe } | undefined;
  readonly clock: Clock;
  readonly bootMs: () => number;
  readonly random: () => number;
  readonly onEvent: (event: VipEvent) => void;
  /** Of the coordinator: it was read what others have written. */
  readonly onAssignment?: (() => void) | undefined;
  /** Called when everything is connected, once. */
  readonly onReady: (view: VipView) => void;
  readonly signal: AbortSignal;
}

/** What is known here, for those who ask. */
export interface VipView {
  readonly agent: () => AgentState;
  readonly coordinator: () => CoordinatorState;
  readonly coordinatorRules: CoordinatorRules;
  readonly own: () => OwnLease['view'];
  readonly election: () => LeaseView;
}

/** Next coordinators that keep their eyes on all Leases: with more of them each renewal is told to more. */
const standbys = 2;
const rewatchMs = 500;
/** A Lease that cannot be given back runs out by itself; nobody waits longer for that. */
const leaveWithinMs = 5000;

/** Runs until `signal` aborts and everything is withdrawn, and then rejects with its reason. */
export async function serveVip(options: ServeVipOptions): Promise<never> {
  const { node, identity, earlier, namespace, timing, actuator, clock, bootMs, random, onEvent, signal } = options;
  // What is asked of the API goes on while we leave: the Leases are given back then.
  using work = linkedAbort();
  // Each request listens to it, and each Lease has its own.
  setMaxListeners(0, work.signal);
  const leaseApi = clusterApi({ connect: options.connectForLeases, namespace, clock, signal: work.signal });
  const api = clusterApi({ connect: options.connect, namespace, clock, signal: work.signal });

  const removed = await actuator.cleanUp(signal);
  if (removed.length > 0) onEvent({ type: 'vip.notice', text: `an earlier process had left ${removed.join(', ')}` });

  const rules = (lease: string): LeaseRules => ({
    lease,
    identity,
    ownEarlier: new Set(lease === coordinatorLease || earlier === undefined ? [] : [earlier]),
    timing,
    // Others race for all but the node's own.
    isWatched: lease !== nodeLease(node),
    coolDownMs: lease === nodeLease(node) ? 0 : timing.retryPeriodMs,
  });
  const arm = (deadlineMs: number) => {
    actuator.arm(deadlineMs).catch((error: unknown) => {
      onEvent({ type: 'vip.actuator-failed', at: 'arm', reason: messageOf(error) });
    });
  };
  const lease = { api: leaseApi, clock, bootMs, random, onEvent };
  const holdOwn: HoldOwnLease = options.holdOwn ?? ((rest) => leaseHolder({ ...lease, ...rest }));
  const own = holdOwn({
    onEvent,
    rules: rules(nodeLease(node)),
    onAllow({ tenure, deadlineMs }) {
      arm(deadlineMs);
      agent.allowed(tenure, deadlineMs);
    },
    onWithdraw({ tenure }) {
      // The kernel closes all at once, whatever else is under way.
      arm(0);
      agent.withdraw(tenure);
    },
  });
  let electedIn = 0;
  const election = leaseHolder({
    ...lease,
    rules: rules(coordinatorLease),
    onAllow({ tenure, record }) {
      if (tenure === electedIn) return;
      electedIn = tenure;
      coordinator.give({ type: 'elected', epoch: record.transitions });
      updateWatch();
    },
    onWithdraw({ tenure }) {
      coordinator.give({ type: 'deposed' });
      updateWatch();
      election.withdrawn(tenure);
    },
  });
  const agent = agentDriver({
    rules: {
      node,
      lingerMs: options.lingerMs,
      notes: {
        ...(options.capacity === 1 ? {} : { [notes.capacity]: String(options.capacity) }),
        ...(options.election === 'per-service' ? { [notes.election]: options.election } : {}),
        ...(options.apiServer === undefined ? {} : { [notes.apiServerVip]: options.apiServer.vip }),
      },
      withdrawMs: timing.withdrawMs,
    },
    actuator,
    api,
    clock,
    signal: work.signal,
    publish: (content) => own.publish(content),
    withdrawn: (tenure) => own.withdrawn(tenure),
    onEvent,
  });
  const coordinatorRules: CoordinatorRules = {
    node,
    plan: options.plan,
    graceMs: timing.graceMs,
    leaseDurationMs: timing.leaseDurationMs,
    standbys,
    election: options.election,
    balance: options.balance,
    flapHalfLifeMs: options.flapHalfLifeMs ?? flapHalfLifeMs,
  };
  using coordinator = coordinatorDriver({
    rules: coordinatorRules,
    api,
    clock,
    onCompete: (candidacies) => elections.compete(candidacies),
    onRead: options.onAssignment,
    onEvent,
  });
  const elections: AddressElections = addressElections({
    hold: (rest) => leaseHolder({ ...lease, ...rest }),
    rules: (name) => rules(name),
    onElected: (address, isElected) => coordinator.give({ type: 'address', address, isElected }),
  });

  const complain = saidOnce((text) => onEvent({ type: 'vip.notice', text }));
  const differ = saidOnce((text) => onEvent({ type: 'vip.notice', text }));
  const compare = (election: Election) => {
    const told = options.election ?? 'coordinator';
    const others = `this cluster finds owners by ${election}, as other nodes were told, and so does this one`;
    differ(election === told ? undefined : `--vip-election ${told} does not count yet: ${others}`);
  };
  const follow = (what: string, run: (end: AbortSignal) => Promise<void>, end: AbortSignal) =>
    keepFollowing(run, {
      pauseMs: rewatchMs,
      clock,
      onEnd: (fault) => complain(fault === undefined ? undefined : `${what}: ${fault}`),
      signal: end,
    });

  // Only who may have to decide follows all Leases; else each renewal would be told to every node.
  let watching: ReturnType<typeof linkedAbort> | undefined;
  const updateWatch = () => {
    const { view } = agent.state;
    const known = view?.standbys;
    const isStandby = known === undefined || known.length < standbys || known.includes(node);
    const isNeeded = election.view.isOurs || isStandby || electionOf(view) === 'per-service';
    if (isNeeded === (watching !== undefined)) return;
    watching?.abort(new Error('another node decides'));
    watching = undefined;
    if (!isNeeded) {
      coordinator.give({ type: 'unsynced' });
      return;
    }
    watching = linkedAbort(work.signal);
    void follow('the Leases cannot be followed', followLeases, watching.signal);
  };
  const followLeases = async (end: AbortSignal) => {
    const listed = await api.listLeases();
    // Nobody would follow them any more.
    end.throwIfAborted();
    if (!listed.ok) throw new Error(listed.verdict.text);
    const sight = (name: string, record: LeaseRecord | undefined) => {
      const owner = nodeOfLease(name);
      if (owner !== undefined) coordinator.give({ type: 'lease', node: owner, record });
      const address = addressOfLease(name);
      if (address === undefined) return;
      elections.seen(address, record);
      coordinator.give({ type: 'address lease', address, holder: record?.holder });
    };
    for (const { name, record } of listed.value) sight(name, record);
    const present = new Set(listed.value.map(({ name }) => name));
    for (const address of coordinator.state.holders.keys()) {
      if (!present.has(addressLease(address))) sight(addressLease(address), undefined);
    }
    coordinator.give({ type: 'synced' });
    try {
      for await (const { name, record, isDeleted } of api.watchLeases(end)) sight(name, isDeleted ? undefined : record);
    } finally {
      // It ends when it is refused or not needed, not at a broken connection: that it makes anew by itself.
      // Until they are followed again nothing is decided; who was elected for addresses keeps their Leases.
      if (electionOf(agent.state.view) === 'coordinator') coordinator.give({ type: 'unsynced' });
    }
  };
  const followElection = async (end: AbortSignal) => {
    for await (const { record, isDeleted } of api.watchLeases(end, coordinatorLease)) {
      election.seen(isDeleted ? undefined : record);
    }
  };
  const followAssignment = async (end: AbortSignal) => {
    for await (const assignment of api.watchAssignment(end)) {
      agent.seen(assignment);
      compare(electionOf(assignment));
      coordinator.give({ type: 'seen', assignment });
      updateWatch();
    }
  };
  const followWanted = async (end: AbortSignal) => {
    for await (const wanted of options.followWanted(end)) coordinator.give({ type: 'wanted', wanted });
  };

  const followed = [
    follow('the assignment cannot be followed', followAssignment, work.signal),
    follow('the election cannot be followed', followElection, work.signal),
    follow('the Services cannot be followed', followWanted, work.signal),
  ];
  const { meter } = options;
  if (meter !== undefined) {
    const traffic = followTraffic({
      meter,
      held: () => [...agent.state.holdings].flatMap(([address, { phase }]) => (phase === 'open' ? [address] : [])),
      clock,
      onLevels: (levels) => agent.load(levels),
      onFault: saidOnce((text) => onEvent({ type: 'vip.notice', text })),
      signal: work.signal,
    });
    followed.push(traffic.catch(() => meter.end()));
  }
  if (options.apiServer !== undefined) {
    const { vip, probe } = options.apiServer;
    const known = deferred();
    const following = followApiServer({
      probe,
      clock,
      answerWithinMs: answerWithinMs(timing),
      onChange(isReady) {
        onEvent({ type: 'vip.api-server', vip, isReady });
        agent.apiServer(isReady);
        known.resolve();
      },
      signal: work.signal,
    });
    followed.push(following.catch(() => undefined));
    // What the Lease first says is the whole: a node that only seems to have no API server would be passed over.
    await Promise.race([known.promise, following]);
  }
  own.want();
  election.want();
  updateWatch();
  options.onReady({
    agent: () => agent.state,
    coordinator: () => coordinator.state,
    coordinatorRules,
    own: () => own.view,
    election: () => election.view,
  });

  await new Promise<void>((resolve) => void onAbort(signal, resolve));
  await handOver({ agent, own, election, clock });
  const left = sleep(clock, leaveWithinMs, work.signal).catch(() => undefined);
  await Promise.race([Promise.all([own.stop(), election.stop(), elections.stop()]), left]);
  work.abort(new Error('it has ended'));
  await Promise.allSettled(followed);
  throw abortError(signal);
}
