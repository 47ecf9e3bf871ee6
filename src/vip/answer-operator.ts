/**
 * What an operator is answered: status, plan and explanation as they follow from the assignment, the
 * Leases and the Services that this node's process sees. Pure.
 */
import { messageOf } from '../kernel/message-of.ts';
import { StartupError } from '../error/startup-error.ts';
import type { ExplainAnswer, PlanAnswer, StatusAnswer } from './control-model.ts';
import type { CoordinatorRules, CoordinatorState } from './coordination/coordinator-model.ts';
import type { LeaseView } from './coordination/lease-holder.ts';
import { apiServerVips } from './coordination/api-server-vip.ts';
import { newer, newestOf, toldElection } from './coordination/address-election.ts';
import { explainElection } from './coordination/explain-election.ts';
import { planNodes, presentInput, presentPlan, trafficLevels } from './coordination/next-assignment.ts';
import { isAlive } from './coordination/node-evidence.ts';
import { electionOf, noAssignment, type StoredAssignment } from './coordination/stored-assignment.ts';
import type { VipAddress } from './model.ts';
import { explainAddress } from './plan/explain-address.ts';
import { weighByTraffic } from './plan/traffic-weight.ts';
import type { ServicesView } from './service/follow-services.ts';

export interface VipKnowledge {
  readonly node: string;
  /** Whether this node may answer for its addresses now. */
  readonly leaseGood: boolean;
  readonly election: LeaseView;
  readonly assignment: StoredAssignment | undefined;
  readonly coordinator: CoordinatorState;
  readonly rules: CoordinatorRules;
  readonly services: ServicesView | undefined;
  /** The one that this node's API server shares with others; undefined: none. */
  readonly apiServerVip?: VipAddress | undefined;
  /** Of voluntary moves; undefined: at any time. */
  readonly window?: StatusAnswer['window'];
  readonly nowMs: number;
}

export function statusOf(known: VipKnowledge): StatusAnswer {
  const { node, leaseGood, election, coordinator, rules, services, apiServerVip, nowMs } = known;
  const { grants, epoch } = assignmentOf(known);
  const weighed = weighByTraffic(coordinator.wanted?.addresses ?? [], trafficLevels(coordinator, rules));
  const wanted = new Map(weighed.map((each) => [each.address, each]));
  const vips = new Set([
    ...(apiServerVip === undefined ? [] : [apiServerVip]),
    ...apiServerVips(coordinator, rules.leaseDurationMs, nowMs).keys(),
  ]);
  const weightOf = (address: VipAddress) => wanted.get(address)?.weight ?? 1;
  const users = new Map<VipAddress, string[]>([...vips].map((address) => [address, ['apiserver']]));
  for (const { key, addresses } of services?.allocations ?? []) {
    for (const address of addresses) users.set(address, [...(users.get(address) ?? []), key]);
  }
  const nodes = planNodes(coordinator, rules, nowMs).map(({ name, state, capacity, penalty }) => {
    const held = [...grants.values()].filter(({ owner }) => owner === name);
    return {
      name,
      state,
      capacity,
      penalty,
      held: held.length,
      load: held.reduce((sum, { address }) => sum + weightOf(address), 0),
    };
  });
  const loads = nodes.filter(({ state }) => state !== 'dead').map(({ load, capacity }) => load / capacity);
  const mean = loads.reduce((sum, load) => sum + load, 0) / Math.max(1, loads.length);
  return {
    node,
    leaseGood,
    coordinator: coordinatorOf(election),
    epoch: Math.max(0, epoch),
    ...electionNow(known),
    imbalance: mean === 0 ? 1 : Math.max(...loads) / mean,
    ...(known.window === undefined ? {} : { window: known.window }),
    nodes,
    addresses: [...new Set([...grants.keys(), ...wanted.keys(), ...vips])].map((address) => {
      const grant = grants.get(address);
      const pinnedTo = wanted.get(address)?.pinnedTo ?? coordinator.wanted?.pins?.[address];
      return {
        address,
        state: grant?.state ?? ('unassigned' as const),
        ...(grant === undefined ? {} : { owner: grant.owner, generation: grant.generation }),
        ...(grant?.next === undefined ? {} : { next: grant.next }),
        weight: weightOf(address),
        services: users.get(address) ?? [],
        ...(pinnedTo === undefined ? {} : { pinnedTo }),
      };
    }),
  };
}

/** @throws StartupError ERR_CONTROL on a node that does not follow all Leases */
export function planOf(known: VipKnowledge): PlanAnswer {
  const input = inputOf(known);
  const { moves, waiting, unassigned, violations, imbalance } = presentPlan(known.coordinator, known.rules, input);
  return {
    moves: [...moves],
    waiting: [...waiting],
    unassigned: [...unassigned],
    violations: [...violations],
    imbalance: { now: statusOf(known).imbalance, afterwards: imbalance },
    election: electionOf(assignmentOf(known)),
  };
}

/** @throws StartupError ERR_USAGE for an address that there is not; as {@link planOf} */
export function explanationOf(known: VipKnowledge, address: string): ExplainAnswer {
  const input = inputOf(known);
  const { coordinator, rules } = known;
  const planned = explainAddress(input, presentPlan(coordinator, rules, input), address);
  const isElected = electionOf(assignmentOf(known)) === 'per-service';
  const answer = planned === undefined || !isElected ? planned : explainElection(planned, input, coordinator);
  if (answer === undefined) {
    throw new StartupError('ERR_USAGE', `${address} is no virtual IP of this cluster: see k3s-lite vip status`, {
      status: 404,
    });
  }
  return answer;
}

/** How owners are found, and who was told otherwise; this node too, where nobody else is known. */
function electionNow(known: VipKnowledge): Pick<StatusAnswer, 'election' | 'toldOtherwise'> {
  const { coordinator, rules, node, nowMs } = known;
  const election = electionOf(assignmentOf(known));
  const told = new Map([[node, rules.election ?? 'coordinator']]);
  for (const [name, sighting] of coordinator.leases) {
    if (isAlive(sighting, nowMs, rules.leaseDurationMs) && name !== node) told.set(name, toldElection(sighting));
  }
  const otherwise = [...told].filter(([, way]) => way !== election).map(([name]) => name);
  return { election, ...(otherwise.length === 0 ? {} : { toldOtherwise: otherwise.sort() }) };
}

function inputOf({ coordinator, rules, election, nowMs }: VipKnowledge) {
  const input = presentInput(coordinator, rules, nowMs);
  if (input !== undefined && coordinator.epoch !== undefined) return input;
  const holder = coordinatorOf(election);
  const where = holder === undefined ? 'the node that decides' : `${holder}, which decides`;
  throw new StartupError('ERR_CONTROL', `only the coordinator plans: ask on ${where}`, { status: 409 });
}

/** The node of the coordinator Lease's holder. Source: identities as app/vip-instance makes them. */
const coordinatorOf = ({ holder }: LeaseView): string | undefined => holder?.split('/')[0];

/** What is refused is the operator's mistake. */
export function asUsage(error: unknown): StartupError {
  return new StartupError('ERR_USAGE', messageOf(error), { status: 400 });
}

/** The newest that is known: where each address is elected by itself, others write it too. */
const assignmentOf = ({ assignment, coordinator }: VipKnowledge): StoredAssignment =>
  newer(newestOf(coordinator), assignment) ?? noAssignment;
