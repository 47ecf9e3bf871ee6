/**
 * The best assignment there is, for addresses of one weight: a minimum-cost flow from addresses over
 * the slots of nodes, by successive shortest paths. Slow and plain on purpose, and with nothing of the
 * planner's: it is what the planner is compared with.
 *
 *   source ─► address ─► node ─► its 1st, 2nd, … slot ─► sink
 *               1 if it moves      what that slot adds to load² / capacity
 */
import type { PlanInput, PlanNode } from '../../src/vip/plan/plan-model.ts';

export interface Optimum {
  /** Σ of what each node's load costs, in units of 1 / `scale`. */
  readonly objective: number;
  /** Of addresses that need not move. */
  readonly moves: number;
}

/** Costs are whole numbers for capacities 1, 2, 3, 4 and penalties up to 3. */
const scale = 12 * 8;
/** More than there are moves: evenness stands before moves. */
const evenness = 1_000_000;

export function bestAssignment(input: PlanInput): Optimum {
  const { nodes, takers, kept } = sceneOf(input);
  const free = input.addresses.filter((each) => pinOf(input, each) === undefined && optionsOf(input, each).length > 0);
  const movable = free.filter((each) => !isHeldByCordoned(input, each.address));
  const used = new Map(takers.map((name) => [name, pinnedTo(input, name)]));
  const network = flowNetwork();
  for (const each of movable) {
    network.arc('source', each.address, 0);
    const home = homeOf(input, each);
    for (const name of optionsOf(input, each)) {
      network.arc(each.address, name, home === undefined || home === name ? 0 : 1);
    }
  }
  for (const name of takers) {
    const begun = used.get(name) ?? 0;
    for (let slot = begun + 1; slot <= begun + movable.length; slot++) {
      network.arc(name, 'sink', evenness * slotCost(nodes.get(name), kept.get(name) ?? 0, slot));
    }
  }
  const cost = network.cheapestFlow('source', 'sink', movable.length);
  const fixed = takers.reduce(
    (sum, name) => sum + loadCost(nodes.get(name), kept.get(name) ?? 0, used.get(name) ?? 0),
    0,
  );
  return { objective: Math.floor(cost / evenness) + fixed, moves: cost % evenness };
}

/** The same measure of a finished plan. */
export function measure(input: PlanInput, owners: ReadonlyMap<string, string>): Optimum {
  const { nodes, takers, kept } = sceneOf(input);
  const objective = takers.reduce((sum, name) => {
    const load = input.addresses.filter(({ address }) => owners.get(address) === name).length;
    return sum + loadCost(nodes.get(name), kept.get(name) ?? 0, load);
  }, 0);
  const moves = input.addresses.filter((each) => {
    const home = pinOf(input, each) === undefined ? homeOf(input, each) : undefined;
    return home !== undefined && owners.get(each.address) !== home;
  });
  return { objective, moves: moves.length };
}

function sceneOf(input: PlanInput) {
  const nodes = new Map(input.nodes.map((node) => [node.name, node]));
  const takers = input.nodes.filter(({ state }) => state === 'ready').map(({ name }) => name);
  const staying = (name: string) =>
    input.addresses.filter((each) => pinOf(input, each) === undefined && homeOf(input, each) === name).length;
  const kept = new Map(takers.map((name) => [name, staying(name) + pinnedTo(input, name)]));
  return { nodes, takers, kept };
}

type Address = PlanInput['addresses'][number];

const stateOf = (input: PlanInput, name: string | undefined) => input.nodes.find((node) => node.name === name)?.state;
const may = ({ eligible }: Address, name: string) => eligible === undefined || eligible.has(name);
const optionsOf = (input: PlanInput, each: Address) =>
  input.nodes.filter(({ name, state }) => state === 'ready' && may(each, name)).map(({ name }) => name);

function pinOf(input: PlanInput, each: Address): string | undefined {
  const state = stateOf(input, each.pinnedTo);
  if (each.pinnedTo === undefined || !may(each, each.pinnedTo)) return undefined;
  return state === 'ready' || state === 'cordoned' ? each.pinnedTo : undefined;
}
const pinnedTo = (input: PlanInput, name: string) =>
  input.addresses.filter((each) => pinOf(input, each) === name).length;

/** The ready node that it is on and may stay on. */
function homeOf(input: PlanInput, each: Address): string | undefined {
  const owner = input.owners.get(each.address);
  return owner !== undefined && stateOf(input, owner) === 'ready' && may(each, owner) ? owner : undefined;
}
function isHeldByCordoned(input: PlanInput, address: string): boolean {
  const each = input.addresses.find((other) => other.address === address);
  const owner = input.owners.get(address);
  return each !== undefined && owner !== undefined && stateOf(input, owner) === 'cordoned' && may(each, owner);
}

/** load² / capacity; what a penalised node has beyond what it had costs more. */
function slotCost(node: PlanNode | undefined, kept: number, slot: number): number {
  const { capacity = 1, penalty = 0 } = node ?? {};
  return ((2 * slot - 1) * scale * (slot > kept ? 2 ** penalty : 1)) / capacity;
}
const loadCost = (node: PlanNode | undefined, kept: number, load: number): number =>
  Array.from({ length: load }, (_, index) => slotCost(node, kept, index + 1)).reduce((a, b) => a + b, 0);

interface Arc {
  readonly to: string;
  readonly cost: number;
  room: number;
  /** The way back. */
  twin?: Arc;
}

function flowNetwork() {
  const arcs = new Map<string, Arc[]>();
  const from = (name: string): Arc[] => {
    const list = arcs.get(name) ?? [];
    arcs.set(name, list);
    return list;
  };
  return {
    /** For one unit. */
    arc(name: string, to: string, cost: number) {
      const there: Arc = { to, cost, room: 1 };
      const back: Arc = { to: name, cost: -cost, room: 0, twin: there };
      there.twin = back;
      from(name).push(there);
      from(to).push(back);
    },
    /** @returns what `units` from source to sink cost at least */
    cheapestFlow(source: string, sink: string, units: number): number {
      let total = 0;
      for (let unit = 0; unit < units; unit++) {
        const distance = new Map([[source, 0]]);
        const by = new Map<string, Arc>();
        const queue = [source];
        for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
          for (const arc of from(name)) {
            const through = (distance.get(name) ?? 0) + arc.cost;
            if (arc.room === 0 || through >= (distance.get(arc.to) ?? Number.POSITIVE_INFINITY)) continue;
            distance.set(arc.to, through);
            by.set(arc.to, arc);
            if (!queue.includes(arc.to)) queue.push(arc.to);
          }
        }
        for (let arc = by.get(sink); arc !== undefined; arc = by.get(arc.twin?.to ?? '')) {
          arc.room -= 1;
          if (arc.twin !== undefined) arc.twin.room += 1;
          if (arc.twin?.to === source) break;
        }
        total += distance.get(sink) ?? Number.NaN;
      }
      return total;
    },
  };
}
