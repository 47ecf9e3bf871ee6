/**
 * The next version of the assignment: what may be granted on the evidence there is, and what has to be
 * revoked for the plan. Pure; the safety of the whole is in these lines.
 *
 * - An owner who lives is left what he has until his heir is ready for it (heirs.ts), or for a while.
 * - An owner is only ever replaced in two writes: `revoking`, and when he has let go, `granted` to the next.
 * - Each grant has a generation that was never given before.
 */
import type { Election, Grant, MoveReason, NodeName, VipAddress } from '../model.ts';
import type { Plan, PlanAddress, PlanInput, PlanNode } from '../plan/plan-model.ts';
import { trafficPolicy, weighByTraffic } from '../plan/traffic-weight.ts';
import type {
  Candidacy,
  CoordinatorEvent,
  CoordinatorRules,
  CoordinatorState,
  Preparation,
} from './coordinator-model.ts';
import {
  competesFor,
  decidesOn,
  electedPlan,
  hasToDecide,
  newestOf,
  nextElection,
  turnMs,
} from './address-election.ts';
import { wantedAddresses } from './api-server-vip.ts';
import { penaltyOf } from './flaps.ts';
import { heirsOf, isReady, lateOwners } from './heirs.ts';
import { capacityOf, isAlive, isLeaving, letGo, loadOf, refusedBy, type LetGo } from './node-evidence.ts';
import { electionOf, type StoredAssignment } from './stored-assignment.ts';

export interface NextAssignment {
  readonly assignment: StoredAssignment;
  readonly isChanged: boolean;
  readonly plan: Plan | undefined;
  readonly events: readonly CoordinatorEvent[];
  /** Moves that this version begins or ends, with their reasons. */
  readonly reasons: ReadonlyMap<VipAddress, MoveReason>;
  readonly preparing: ReadonlyMap<VipAddress, Preparation>;
  /** Owners who have to be heard of soon. */
  readonly late: ReadonlySet<NodeName>;
  /** Of traffic; see `CoordinatorState`. */
  readonly levels: ReadonlyMap<VipAddress, number>;
}

/** Nodes as the planner sees them: those of the cluster, and whoever has a Lease. */
export function planNodes(
  { leases, wanted, flaps }: CoordinatorState,
  rules: CoordinatorRules,
  nowMs: number,
): readonly PlanNode[] {
  return [...leases].map(([name, sighting]): PlanNode => {
    const known = wanted?.nodes.get(name);
    return {
      name,
      // Who is about to end waits for the others: it is not paced.
      state: !isAlive(sighting, nowMs, rules.leaseDurationMs)
        ? 'dead'
        : isLeaving(sighting)
          ? 'unready'
          : (known?.state ?? 'ready'),
      capacity: capacityOf(sighting),
      penalty: penaltyOf(flaps, name, rules, nowMs),
    };
  });
}

export function nextAssignment(
  state: CoordinatorState,
  rules: CoordinatorRules,
  nowMs: number,
): NextAssignment | undefined {
  const { stored, wanted, epoch } = state;
  if (stored === undefined || wanted === undefined) return undefined;
  const way = nextElection(state, rules, nowMs);
  const isOurs = (address: VipAddress) => decidesOn(state, rules, { address, way, nowMs });
  if (!hasToDecide(state, rules)) return undefined;
  const nodes = planNodes(state, rules, nowMs);
  const alive = new Set(nodes.filter((node) => node.state !== 'dead').map(({ name }) => name));
  const all = wantedAddresses({ ...state, wanted }, nodes, rules.leaseDurationMs, nowMs);
  const addresses = eligibleAddresses(state, all, nodes);
  const isWanted = new Set(addresses.map(({ address }) => address));
  const grants = new Map(stored.assignment.grants);
  const freed = new Map<
    VipAddress,
    { readonly from: NodeName; readonly next: NodeName | undefined; readonly because: LetGo }
  >();
  for (const grant of stored.assignment.grants.values()) {
    if (grant.state !== 'revoking' || !isOurs(grant.address)) continue;
    const because = letGoOf(state, rules, grant, nowMs);
    if (because === undefined) continue;
    grants.delete(grant.address);
    freed.set(grant.address, { from: grant.owner, next: grant.next, because });
  }

  const levels = trafficLevels(state, rules);
  const input = planInput(state, addresses, nodes, { grants, levels }, nowMs);
  const plan = planBy(way, state, rules, input);
  const events: CoordinatorEvent[] = [];
  const reasons = new Map(state.reasons);
  const preparing = new Map<VipAddress, Preparation>();
  let { lastGeneration } = stored.assignment;

  const grant = (address: VipAddress, owner: NodeName, reason: MoveReason) => {
    lastGeneration += 1;
    const { from, because = 'free' as const } = freed.get(address) ?? {};
    const isHandedOver = because === 'acknowledged' || because === 'released';
    grants.set(address, {
      address,
      owner,
      state: 'granted',
      generation: lastGeneration,
      ...(isHandedOver ? { isHandedOver } : {}),
    });
    events.push({
      type: 'vip.move',
      address,
      is: 'granted',
      to: owner,
      generation: lastGeneration,
      reason: state.reasons.get(address) ?? reason,
      because,
      ...(from === undefined ? {} : { from }),
    });
    reasons.delete(address);
  };
  const revoke = (before: Grant, next: NodeName | undefined, reason: MoveReason | 'unwanted') => {
    const { address, owner, generation } = before;
    grants.set(address, { address, owner, state: 'revoking', generation, ...(next === undefined ? {} : { next }) });
    events.push({
      type: 'vip.move',
      address,
      is: 'revoking',
      from: owner,
      generation,
      reason,
      ...(next === undefined ? {} : { to: next }),
    });
    if (reason !== 'unwanted') reasons.set(address, reason);
  };

  // What has been let go goes where it was meant to, if that can still be; the plan places the rest.
  const planned = new Map(plan.moves.map((move) => [move.address, move]));
  for (const [address, { from, next, because }] of freed) {
    const move = planned.get(address);
    if (!isWanted.has(address)) {
      events.push({
        type: 'vip.move',
        address,
        is: 'removed',
        from,
        generation: stored.assignment.grants.get(address)?.generation ?? 0,
        reason: 'unwanted',
        because,
      });
      reasons.delete(address);
    } else if (way === 'coordinator' && next !== undefined && alive.has(next) && mayHold(addresses, address, next)) {
      grant(address, next, 'new');
      planned.delete(address);
    } else if (move !== undefined) {
      grant(address, move.to, 'new');
      planned.delete(address);
    }
  }
  for (const { address, to, reason } of planned.values()) {
    const before = grants.get(address);
    if (before === undefined) grant(address, to, reason);
    else if (before.state === 'granted' && before.owner !== to) {
      // One that could not take it has nothing that it could hand over.
      const hasNothing = refusedBy(state.leases.get(before.owner)).get(address) === before.generation;
      if (!alive.has(before.owner) || hasNothing || isReady(state, before, to, nowMs)) revoke(before, to, reason);
      else {
        const since = state.preparing.get(address);
        preparing.set(address, since?.to === to ? since : { to, sinceMs: nowMs });
      }
    } else if (before.state === 'revoking' && before.next !== to) revoke(before, to, reason);
  }
  for (const address of plan.unassigned) {
    const before = grants.get(address);
    if (before?.state === 'granted' && isOurs(address)) revoke(before, undefined, 'ineligible');
  }
  for (const before of [...grants.values()]) {
    const { address, state: granted } = before;
    if (granted === 'granted' && !isWanted.has(address) && isOurs(address)) revoke(before, undefined, 'unwanted');
  }

  // Who will be elected nobody knows: no heir is named before that.
  const late = way === 'coordinator' ? lateOwners(state, alive, rules.leaseDurationMs, nowMs) : new Set<NodeName>();
  const heirs = heirsOf(late, input, rules.plan);
  let isHeirChanged = false;
  for (const { heir: before, ...grant } of [...grants.values()]) {
    const { address, state: granted } = grant;
    if (!isOurs(address)) continue;
    const wanted = granted === 'granted' ? (preparing.get(address)?.to ?? heirs.get(address)) : undefined;
    const heir = wanted === grant.owner ? undefined : wanted;
    if (heir === before) continue;
    grants.set(address, { ...grant, ...(heir === undefined ? {} : { heir }) });
    isHeirChanged = true;
  }

  const ofCoordinator = {
    epoch,
    standbys: [...alive]
      .filter((name) => name !== rules.node)
      .sort()
      .slice(0, rules.standbys),
  };
  const head = epoch === undefined ? stored.assignment : { ...ofCoordinator, epoch };
  const isChanged =
    events.length > 0 ||
    freed.size > 0 ||
    isHeirChanged ||
    stored.version === undefined ||
    stored.assignment.epoch !== head.epoch ||
    electionOf(stored.assignment) !== way ||
    head.standbys.join(' ') !== stored.assignment.standbys.join(' ');
  return {
    assignment: {
      epoch: head.epoch,
      revision: stored.assignment.revision + 1,
      lastGeneration,
      standbys: head.standbys,
      ...(way === 'coordinator' ? {} : { election: way }),
      grants,
    },
    isChanged,
    plan,
    events,
    reasons,
    preparing,
    late,
    levels,
  };
}

function letGoOf(
  { leases, confirmed }: CoordinatorState,
  rules: CoordinatorRules,
  grant: Grant,
  nowMs: number,
): LetGo | undefined {
  const { address, owner, generation } = grant;
  return letGo({
    sighting: leases.get(owner),
    address,
    generation,
    isConfirmed: confirmed.has(owner),
    nowMs,
    graceMs: rules.graceMs,
    defaultMs: rules.leaseDurationMs,
  });
}

/** By whoever decides on it. */
const planBy = (way: Election, state: CoordinatorState, rules: CoordinatorRules, input: PlanInput): Plan =>
  way === 'coordinator' ? rules.plan(input) : electedPlan(state, rules, input);

/** As things are, for those who ask. */
export const presentPlan = (state: CoordinatorState, rules: CoordinatorRules, input: PlanInput): Plan =>
  planBy(electionOf(newestOf(state)), state, rules, input);

/** Addresses whose Lease this node is to hold, or to try for; none while a coordinator decides. */
export function competingFor(state: CoordinatorState, rules: CoordinatorRules, nowMs: number): readonly Candidacy[] {
  const { wanted, isSynced } = state;
  const newest = newestOf(state);
  if (newest === undefined || wanted === undefined || !isSynced || electionOf(newest) === 'coordinator') return [];
  const known = { ...state, wanted, stored: { version: undefined, assignment: newest } };
  const nodes = planNodes(state, rules, nowMs);
  const all = eligibleAddresses(known, wantedAddresses(known, nodes, rules.leaseDurationMs, nowMs), nodes);
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const owner = (address: VipAddress) => newest.grants.get(address)?.owner;
  return all
    .filter((each) => competesFor(each, rules.node, owner(each.address), byName))
    .map((each) => ({ address: each.address, afterMs: turnMs(each, rules.node, owner(each.address), byName) }))
    .sort((a, b) => (a.address < b.address ? -1 : 1));
}

/** What the planner is asked with the assignment as it is stored; undefined: it is not known what there is. */
export function presentInput(state: CoordinatorState, rules: CoordinatorRules, nowMs: number): PlanInput | undefined {
  const { stored, wanted } = state;
  if (stored === undefined || wanted === undefined) return undefined;
  const nodes = planNodes(state, rules, nowMs);
  const all = wantedAddresses({ ...state, wanted }, nodes, rules.leaseDurationMs, nowMs);
  const { grants } = stored.assignment;
  const levels = trafficLevels(state, rules);
  return planInput(state, eligibleAddresses(state, all, nodes), nodes, { grants, levels }, nowMs);
}

type TrafficLevels = ReadonlyMap<VipAddress, number>;

/** Of each address as its owner tells it, or as it was told last. */
export function trafficLevels(
  { stored, leases, levels }: CoordinatorState,
  { balance }: CoordinatorRules,
): TrafficLevels {
  if (balance !== 'load' || stored === undefined) return new Map();
  const told = new Map<NodeName, TrafficLevels>();
  return new Map(
    [...stored.assignment.grants.values()].flatMap(({ address, owner }) => {
      const ofOwner = told.get(owner) ?? loadOf(leases.get(owner));
      told.set(owner, ofOwner);
      const level = ofOwner.get(address) ?? levels.get(address);
      return level === undefined ? [] : [[address, level] as const];
    }),
  );
}

function planInput(
  { wanted, movesAtMs, movedAtMs, plan }: CoordinatorState,
  addresses: readonly PlanAddress[],
  nodes: readonly PlanNode[],
  { grants, levels }: { readonly grants: ReadonlyMap<VipAddress, Grant>; readonly levels: TrafficLevels },
  nowMs: number,
): PlanInput {
  if (wanted === undefined) throw new Error('internal error: a plan for nothing');
  const known = new Set(addresses.map(({ address }) => address));
  const wantedGrants = [...grants.values()].filter(({ address }) => known.has(address));
  return {
    addresses: weighByTraffic(addresses, levels).map((each) => ({ ...each, movedAtMs: movedAtMs.get(each.address) })),
    nodes,
    owners: new Map(wantedGrants.map(({ address, owner, next }) => [address, next ?? owner])),
    moving: new Set(wantedGrants.filter((each) => each.state === 'revoking').map(({ address }) => address)),
    policy: levels.size === 0 ? wanted.policy : trafficPolicy(wanted.policy),
    ...(plan === undefined ? {} : { rebalancing: plan.rebalancing }),
    recentMovesAtMs: movesAtMs.filter((atMs) => nowMs - atMs < 3_600_000),
    nowMs,
  };
}

/** A node that could not take an address, or be ready for it, is not asked again for that, as long as it says so. */
function eligibleAddresses(
  { leases, stored }: Pick<CoordinatorState, 'leases' | 'stored'>,
  addresses: readonly PlanAddress[],
  nodes: readonly PlanNode[],
): readonly PlanAddress[] {
  const refused = new Map<VipAddress, Set<NodeName>>();
  for (const [name, sighting] of leases) {
    for (const [address, generation] of refusedBy(sighting)) {
      if (stored?.assignment.grants.get(address)?.generation !== generation) continue;
      refused.set(address, (refused.get(address) ?? new Set()).add(name));
    }
  }
  if (refused.size === 0) return addresses;
  const all = nodes.map(({ name }) => name);
  const living = nodes.filter(({ state }) => state !== 'dead');
  return addresses.map((each) => {
    const not = refused.get(each.address);
    if (not === undefined) return each;
    // Who is to have it although he could not is the last there is (api-server-vip).
    if (each.use === 'apiserver' && each.pinnedTo !== undefined && not.has(each.pinnedTo)) return each;
    const eligible = new Set([...(each.eligible ?? all)].filter((name) => !not.has(name)));
    // Nobody else could: then it is tried here again.
    return living.some(({ name }) => eligible.has(name)) ? { ...each, eligible } : each;
  });
}

function mayHold(addresses: readonly PlanAddress[], address: VipAddress, node: NodeName): boolean {
  const { eligible } = addresses.find((each) => each.address === address) ?? {};
  return eligible?.has(node) ?? true;
}
