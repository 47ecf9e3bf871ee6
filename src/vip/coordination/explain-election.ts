/** Why an address that is elected by itself is where it is. Pure. */
import type { ExplainAnswer } from '../control-model.ts';
import type { PlanInput } from '../plan/plan-model.ts';
import { stanceOf } from './address-election.ts';
import type { CoordinatorState } from './coordinator-model.ts';

/** @param planned - what the planner says of it: eligibility and states are the same, costs are of no account */
export function explainElection(
  planned: ExplainAnswer,
  input: PlanInput,
  { holders, leases }: Pick<CoordinatorState, 'holders' | 'leases'>,
): ExplainAnswer {
  const { address, owner, verdict } = planned;
  const nodes = new Map(input.nodes.map((node) => [node.name, node]));
  const wanted = input.addresses.find((each) => each.address === address);
  const held = holders.get(address);
  const holder = held === undefined ? undefined : [...leases].find(([, { record }]) => record?.holder === held)?.[0];
  const isSettled = owner !== undefined && owner === holder && verdict.startsWith('stays');
  return {
    ...planned,
    election: 'per-service',
    verdict: isSettled ? 'stays: its node holds its Lease' : holder === undefined ? whyNobody(planned) : verdict,
    nodes: planned.nodes.map(({ name, load, why }) => ({
      name,
      load,
      may: wanted !== undefined && stanceOf(wanted, name, nodes) !== 'leaves',
      why: name === holder ? `holds its Lease, ${why}` : why,
    })),
  };
}

const whyNobody = ({ verdict, owner }: ExplainAnswer): string =>
  owner !== undefined && verdict.startsWith('stays') ? 'stays: nobody else tries for its Lease' : verdict;
