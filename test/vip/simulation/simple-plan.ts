/** The least that a planner does: keeps what is well, places the rest where there is least, evens out. */
import type { NodeName, VipAddress } from '../../../src/vip/model.ts';
import type { Plan, PlanInput, PlannedMove } from '../../../src/vip/plan/plan-model.ts';

export function simplePlan({ addresses, nodes, owners, moving, policy }: PlanInput): Plan {
  const may = new Set(nodes.filter(({ state }) => state === 'ready').map(({ name }) => name));
  const load = new Map<NodeName, number>([...may].map((name) => [name, 0]));
  const planned = new Map<VipAddress, NodeName>();
  const moves: PlannedMove[] = [];
  const unassigned: VipAddress[] = [];
  const allowed = (address: PlanInput['addresses'][number], node: NodeName) =>
    may.has(node) && (address.eligible?.has(node) ?? true);
  const add = (node: NodeName, by: number) => load.set(node, (load.get(node) ?? 0) + by);
  for (const address of addresses) {
    const owner = owners.get(address.address);
    if (owner === undefined || (!moving.has(address.address) && !allowed(address, owner))) continue;
    planned.set(address.address, owner);
    add(owner, 1);
  }
  const least = (address: PlanInput['addresses'][number]) =>
    [...may].filter((node) => allowed(address, node)).sort((a, b) => (load.get(a) ?? 0) - (load.get(b) ?? 0))[0];
  for (const address of addresses) {
    if (planned.has(address.address)) continue;
    const to = least(address);
    const from = owners.get(address.address);
    if (to === undefined) {
      unassigned.push(address.address);
      continue;
    }
    planned.set(address.address, to);
    add(to, 1);
    moves.push({
      address: address.address,
      to,
      reason: from === undefined ? 'new' : 'dead',
      ...(from === undefined ? {} : { from }),
    });
  }
  let under = moving.size;
  for (const address of policy.mayRebalance ? addresses : []) {
    const from = planned.get(address.address);
    const to = least(address);
    if (under >= policy.movesAtOnce || from === undefined || to === undefined || moving.has(address.address)) continue;
    if (!owners.has(address.address) || owners.get(address.address) !== from) continue;
    if ((load.get(from) ?? 0) - (load.get(to) ?? 0) <= 1) continue;
    planned.set(address.address, to);
    add(from, -1);
    add(to, 1);
    under += 1;
    moves.push({ address: address.address, from, to, reason: 'rebalance' });
  }
  return { moves, waiting: [], unassigned, owners: planned, imbalance: 1, violations: [] };
}
