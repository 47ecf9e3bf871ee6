/**
 * The planner's working state: addresses and nodes by number, who is where, and the load of each node.
 * It is changed in place, by one plan alone, and knows no rules but the cost of a load.
 *
 * The cost of a node is load² / capacity, so the sum over all nodes is least when they are as even as
 * they can be. What a penalised node gets beyond what it has counts by its lessened capacity: it
 * keeps what it has, and little comes. Either way a node's cost is convex, which is what makes
 * `even-out` exact.
 */
import type { NodeName } from '../model.ts';
import type { PlanAddress, PlanInput, PlanNode } from './plan-model.ts';
import { hashOf, rendezvousScore } from './rendezvous.ts';
import { mayHold, standingOf, takes, type Standing } from './standing.ts';
import { Tally } from './tally.ts';

/** The nodes that may be given an address. */
export interface Choice {
  /** Numbers of nodes, rising. */
  readonly nodes: readonly number[];
  /** By the number of a node. */
  readonly has: readonly boolean[];
}

export interface Item {
  readonly number: number;
  readonly address: PlanAddress;
  readonly standing: Standing;
  readonly weight: number;
  readonly choice: Choice;
  readonly hash: number;
  /** Where it is as long as nothing is done; -1: nowhere. A place elsewhere counts as a move, unless it is loose. */
  home: number;
  /** It has to get an owner anyway: a move of it is not counted. */
  isLoose: boolean;
  /** It rests after a move: another is moved rather. */
  readonly isResting: boolean;
}

export class Board {
  readonly nodes: readonly PlanNode[];
  /** Numbers of the nodes that may be given something. */
  readonly takers: readonly number[];
  readonly items: readonly Item[];
  /** By the number of an item: the number of its node, or -1. */
  readonly at: number[];
  /** By the number of a node. */
  readonly load: number[];
  readonly groups: Tally;
  readonly bundles: Tally;
  readonly #hashes: readonly number[];
  readonly #numbers: ReadonlyMap<NodeName, number>;
  /** Up to here the full capacity counts. */
  readonly #kept: number[];

  constructor({ addresses, nodes, owners, moving, policy, nowMs }: PlanInput) {
    // In the order of their names, so that the order of the input is of no account.
    this.nodes = [...nodes].sort((a, b) => compare(a.name, b.name));
    this.#hashes = this.nodes.map(({ name }) => hashOf(name));
    this.#numbers = new Map(this.nodes.map(({ name }, number) => [name, number]));
    const byName = new Map(this.nodes.map((node) => [node.name, node]));
    this.takers = [...this.nodes.keys()].filter((number) => takes(this.node(number)));
    const known = new Map<unknown, Choice>();
    const choices = new Map<string, Choice>();
    // One object for all that have the same: who looks for ways looks at each once.
    const shared = (choice: Choice): Choice => {
      const key = choice.nodes.join();
      const same = choices.get(key) ?? choice;
      choices.set(key, same);
      return same;
    };
    this.items = [...addresses]
      .sort((a, b) => compare(a.address, b.address))
      .map((address, number): Item => {
        const standing = standingOf(address, { owners, moving }, byName);
        const choice = known.get(address.eligible) ?? shared(this.#choiceOf(address));
        known.set(address.eligible, choice);
        const { movedAtMs = Number.NEGATIVE_INFINITY, weight } = address;
        const isResting = movedAtMs + policy.restMs > nowMs;
        const isLoose = standing.kind === 'loose';
        return {
          number,
          address,
          standing,
          weight,
          choice,
          hash: hashOf(address.address),
          home: -1,
          isLoose,
          isResting,
        };
      });
    this.groups = new Tally(this.items.map(({ address }) => address.group));
    this.bundles = new Tally(this.items.map(({ address }) => address.together));
    this.at = this.items.map(() => -1);
    this.load = this.nodes.map(() => 0);
    this.#kept = this.nodes.map(() => 0);
    for (const item of this.items) {
      const node = placeOf(item);
      this.put(item, this.numberOf(node));
      item.home = this.placeOf(item);
    }
    this.#kept = [...this.load];
  }

  #choiceOf(address: PlanAddress): Choice {
    const nodes = this.takers.filter((number) => mayHold(address, this.node(number).name));
    const has = this.nodes.map(() => false);
    for (const number of nodes) has[number] = true;
    return { nodes, has };
  }

  node(number: number): PlanNode {
    const node = this.nodes[number];
    if (node === undefined) throw new Error(`internal error: there is no node ${String(number)}`);
    return node;
  }

  /** -1: there is none of that name. */
  numberOf(name: NodeName | undefined): number {
    return name === undefined ? -1 : (this.#numbers.get(name) ?? -1);
  }

  nameOf(node: number | undefined): NodeName | undefined {
    return node === undefined ? undefined : this.nodes[node]?.name;
  }

  /** The number of an item's node, or -1. */
  placeOf(item: Item): number {
    return this.at[item.number] ?? -1;
  }

  loadOf(node: number): number {
    return this.load[node] ?? 0;
  }

  /** Moves an item; -1: away from everybody. */
  put(item: Item, node: number): void {
    const from = this.placeOf(item);
    if (from >= 0) this.load[from] = this.loadOf(from) - item.weight;
    if (node >= 0) this.load[node] = this.loadOf(node) + item.weight;
    this.at[item.number] = node;
    this.groups.shift(item.number, from, node);
    this.bundles.shift(item.number, from, node);
  }

  /** What a load more costs a node. */
  gainCost(node: number, weight: number): number {
    return this.#costBetween(node, this.loadOf(node), this.loadOf(node) + weight);
  }

  /** What a load less saves a node. */
  lossCost(node: number, weight: number): number {
    return this.#costBetween(node, this.loadOf(node) - weight, this.loadOf(node));
  }

  #costBetween(node: number, from: number, to: number): number {
    const { capacity, penalty } = this.node(node);
    const kept = this.#kept[node] ?? 0;
    if (penalty === 0 || to <= kept) return squares(from, to) / capacity;
    const lessened = capacity / 2 ** penalty;
    if (from >= kept) return squares(from, to) / lessened;
    return squares(from, kept) / capacity + squares(kept, to) / lessened;
  }

  /** What a load less saves a node at most, for each unit of it. */
  lossRate(node: number): number {
    return this.#costRate(node, this.loadOf(node) > (this.#kept[node] ?? 0));
  }

  /** What a load more costs a node at least, for each unit of it. */
  gainRate(node: number): number {
    return this.#costRate(node, this.loadOf(node) >= (this.#kept[node] ?? 0));
  }

  #costRate(node: number, isBeyondKept: boolean): number {
    const { capacity, penalty } = this.node(node);
    return (2 * this.loadOf(node)) / (isBeyondKept ? capacity / 2 ** penalty : capacity);
  }

  /** What may be put elsewhere, for its own sake or for that of others. */
  movable(): readonly Item[] {
    return this.items.filter(
      ({ standing, choice }) =>
        choice.nodes.length > 0 &&
        (standing.kind === 'placed' || (standing.kind === 'loose' && standing.to === undefined)),
    );
  }

  /** How much an item belongs to a node when nothing else decides. */
  score(item: Item, node: number): number {
    return rendezvousScore(item.hash, this.#hashes[node] ?? 0);
  }

  /** The same between two nodes. */
  nodeScore(from: number, to: number): number {
    return rendezvousScore(this.#hashes[from] ?? 0, this.#hashes[to] ?? 0);
  }

  /** 1 if an item would be moved by being there. */
  moveCost(item: Item, node: number): number {
    return item.isLoose || item.home === node ? 0 : 1;
  }

  /** From now on being elsewhere than now is a move for everything that is somewhere. */
  settle(): void {
    for (const item of this.items) {
      item.home = this.placeOf(item);
      item.isLoose = false;
    }
  }

  /** Where everything is, by the number of an item. */
  places(): readonly number[] {
    return [...this.at];
  }

  /** Puts everything where it was when `places` was taken. */
  restore(places: readonly number[]): void {
    for (const item of this.items) this.put(item, places[item.number] ?? -1);
  }
}

const placeOf = ({ standing }: Item): NodeName | undefined => {
  if (standing.kind !== 'loose') return standing.node;
  return standing.to;
};

/** to² − from², exact for whole numbers. */
const squares = (from: number, to: number): number => (to - from) * (to + from);

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Differences of cost below this share are rounding. */
export const costTolerance = 1e-9;

/** Whether `a` is less than `b` by more than rounding. */
export const isLess = (a: number, b: number): boolean => b - a > costTolerance * Math.max(1, Math.abs(a), Math.abs(b));
