/**
 * Changes of the list itself: the part of `reduce` that takes updates and the default server.
 *
 * An update never leaves less than it found usable (L7): an empty one, and one with nothing but
 * mistakes, change nothing. When none of the servers that it names has ever answered, those that
 * have are kept, after the new ones, until one of them does.
 */
import type { Draft } from './routing-draft.ts';
import { refOf, type ServerSpec } from './routing-input.ts';
import { isProven, serverAt, type Server } from './routing-state.ts';
import { isOwnAddress, parseServerAddress } from './server-address.ts';

const defaultWeight = 1;

export function applyUpdate(draft: Draft, specs: readonly ServerSpec[]): void {
  const { wanted, refused } = checkedSpecs(draft, specs);
  if (wanted.size === 0) {
    const reason = specs.length === 0 ? 'it is empty' : 'it names no server that can be dialled';
    draft.tell({ type: 'lb.list-refused', reason, refused });
    return;
  }
  const before = new Set(draft.servers.filter(({ isListed }) => isListed).map(({ address }) => address));
  const dropped = [...before].filter((address) => !wanted.has(address));
  for (const [address, weight] of wanted) list(draft, address, weight);
  const kept = drop(draft, dropped);
  const added = [...wanted.keys()].filter((address) => !before.has(address));
  if (added.length + dropped.length + refused.length === 0) return;
  const servers = [...wanted.keys()].sort();
  draft.tell({
    type: 'lb.list',
    servers,
    added,
    removed: dropped.filter((each) => !kept.includes(each)),
    kept,
    refused,
  });
}

function checkedSpecs(
  { rules }: Draft,
  specs: readonly ServerSpec[],
): { readonly wanted: ReadonlyMap<string, number>; readonly refused: readonly string[] } {
  const wanted = new Map<string, number>();
  const refused: string[] = [];
  for (const { address, weight = defaultWeight } of specs) {
    const parsed = parseServerAddress(address);
    if (!parsed.ok) refused.push(parsed.error);
    else if (rules.ownAddresses.some((own) => isOwnAddress(parsed.value, own))) {
      refused.push(`${parsed.value} is this balancer itself`);
    } else wanted.set(parsed.value, Number.isFinite(weight) && weight >= 0 ? weight : defaultWeight);
  }
  return { wanted, refused };
}

function list(draft: Draft, address: string, weight: number): void {
  const server = serverAt(draft, address);
  if (server === undefined) {
    draft.add({ address, state: 'unchecked', weight, isDefault: false, isListed: true }, 'new in the list');
    return;
  }
  if (server.isListed && server.weight === weight) return;
  draft.change(address, { isListed: true, isLeaving: false, weight });
  if (server.isListed) return;
  draft.input(address, 'listed', 'in the list');
  if (server.state === 'invalid') goOn(draft, server);
}

/** @returns those that are kept for now */
function drop(draft: Draft, dropped: readonly string[]): readonly string[] {
  for (const address of dropped) draft.change(address, { isListed: false });
  const isLeftWithNone = !draft.servers.some((server) => server.isListed && isProven(server));
  const kept: string[] = [];
  for (const address of dropped) {
    const server = serverAt(draft, address);
    if (server === undefined) continue;
    if (isLeftWithNone && isProven(server)) {
      draft.change(address, { isLeaving: true });
      kept.push(address);
    } else draft.input(address, 'dropped', 'no longer in the list');
  }
  return kept;
}

export function applyDefault(draft: Draft, address: string | undefined): void {
  const parsed = address === undefined ? undefined : parseServerAddress(address);
  if (parsed?.ok === false) {
    draft.tell({ type: 'lb.default', server: undefined, refused: parsed.error });
    return;
  }
  const wanted = parsed?.value;
  // K3s's way: a balancer whose default is its own listener has none, and waits to be told of servers.
  if (wanted !== undefined && draft.rules.ownAddresses.some((own) => isOwnAddress(wanted, own))) {
    draft.tell({ type: 'lb.default', server: undefined, refused: `${wanted} is this balancer itself` });
    return;
  }
  const old = draft.servers.find(({ isDefault }) => isDefault);
  if (old?.address === wanted) return;
  draft.tell({ type: 'lb.default', server: wanted });
  if (wanted !== undefined) makeDefault(draft, wanted, serverAt(draft, wanted));
  if (old === undefined) return;
  draft.change(old.address, { isDefault: false });
  draft.input(old.address, 'undefaulted', 'no longer the default');
}

function makeDefault(draft: Draft, address: string, server: Server | undefined): void {
  if (server === undefined) {
    draft.add({ address, state: 'standby', weight: defaultWeight, isDefault: true, isListed: false }, 'the default');
    return;
  }
  draft.change(address, { isDefault: true });
  draft.input(address, 'defaulted', 'the default');
  if (server.state === 'invalid') goOn(draft, server);
}

/** It was on its way out and is back before its last connection has ended: as if nothing had been. */
function goOn(draft: Draft, server: Server): void {
  draft.change(server.address, { closingByMs: undefined });
  draft.effect({ type: 'keep', server: refOf(server) });
  draft.effect({ type: 'enter', server: refOf(server) });
}
