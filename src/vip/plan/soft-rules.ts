/**
 * The rules that an address would rather have kept: its group spread, its like together, its preferred
 * nodes. They decide between what is equally even, and never leave an address without an owner.
 */
import type { Board, Item } from './board.ts';
import type { Plan } from './plan-model.ts';

/**
 * What a broken rule costs. A group stands before togetherness, and that before preference, whose
 * weights go to 100 (Source: Kubernetes PreferredSchedulingTerm).
 */
const groupCost = 1_000_000;
const togetherCost = 1_000;

export class SoftRules {
  /** No address has any: nothing needs to be asked. */
  readonly isEmpty: boolean;
  readonly #board: Board;
  readonly #bestPreference: readonly number[];

  constructor(board: Board) {
    this.#board = board;
    this.#bestPreference = board.items.map(({ address, choice }) => {
      if (address.preferred === undefined) return 0;
      return Math.max(0, ...choice.nodes.map((node) => this.#preference(address.preferred, node)));
    });
    this.isEmpty =
      board.groups.isEmpty && board.bundles.isEmpty && this.#bestPreference.every((preference) => preference === 0);
  }

  /** What it would cost to have an item there, with all others where they are. */
  cost(item: Item, node: number): number {
    return this.isEmpty
      ? 0
      : groupCost * this.#crowd(item, node) + togetherCost * this.#apart(item, node) + this.#unloved(item, node);
  }

  #preference(preferred: ReadonlyMap<string, number> | undefined, node: number): number {
    return preferred?.get(this.#board.node(node).name) ?? 0;
  }

  #unloved({ number, address }: Item, node: number): number {
    const best = this.#bestPreference[number] ?? 0;
    return best === 0 ? 0 : best - this.#preference(address.preferred, node);
  }

  /** How many of the group there would be too many, with it. */
  #crowd(item: Item, node: number): number {
    const { groups, takers } = this.#board;
    if (!groups.has(item.number)) return 0;
    const limit = Math.ceil(groups.sizeOf(item.number) / Math.max(1, takers.length));
    const self = this.#board.placeOf(item) === node ? 0 : 1;
    return Math.max(0, groups.countOn(item.number, node) + self - limit);
  }

  /** How many that belong to it are elsewhere. */
  #apart(item: Item, node: number): number {
    const { bundles } = this.#board;
    if (!bundles.has(item.number)) return 0;
    const at = this.#board.placeOf(item);
    const others = bundles.placed(item.number) - (at >= 0 ? 1 : 0);
    return others - bundles.countOn(item.number, node) + (at === node ? 1 : 0);
  }

  violations(): Plan['violations'] {
    if (this.isEmpty) return [];
    return this.#board.items.flatMap((item) => {
      const node = this.#board.placeOf(item);
      if (node < 0) return [];
      const { address } = item.address;
      return [
        ...(this.#crowd(item, node) > 0 ? [{ kind: 'group' as const, address }] : []),
        ...(this.#apart(item, node) > 0 ? [{ kind: 'together' as const, address }] : []),
        ...(this.#unloved(item, node) > 0 ? [{ kind: 'preferred' as const, address }] : []),
      ];
    });
  }
}
