/**
 * The addresses that are here because of us, and their way onto an interface and off it: into the journal and
 * behind the gate, added, read back; removed, read back, forgotten. Each of these is done one at a time (the
 * actuator's matter), and what goes wrong is undone.
 *
 * Not here: whether somebody else has an address (asking.ts), and what is announced (announcer.ts).
 */
import type { Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/message-of.ts';
import type { TakeRefusal } from '../actuator.ts';
import type { VipAddress } from '../model.ts';
import type { Gate, WantedGate } from './gate.ts';
import type { Journal } from './journal.ts';
import type { KernelNetwork } from './kernel-network.ts';
import { holderFinder, hostPrefix, linkFinder, type Link, type Placed } from './network-state.ts';

export interface Entry {
  readonly address: VipAddress;
  readonly link: Link;
  isOpen: boolean;
  /** It is read back: from now on it is missed when it is gone. */
  isThere: boolean;
}

/** The work that counts for an address: what was asked for before is given up. */
export type Work = symbol;

/** What could not be done, and why. It is undone. */
export type Failed = ReadonlyMap<VipAddress, string>;

export interface AddressTableOptions {
  readonly kernel: KernelNetwork;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly gate: () => Pick<Gate, 'write'>;
  /** When nothing may be begun any more. */
  readonly deadlineMs: () => number;
  /** In place of the interface whose network has the address. */
  readonly interface: string | undefined;
  /** How long an address is there unless that is said again, in whole seconds. */
  readonly validS: number;
}

export class AddressTable {
  readonly entries = new Map<VipAddress, Entry>();
  /** The work that counts for an address. */
  readonly work = new Map<VipAddress, Work>();
  /** Addresses that an earlier process may have left behind. */
  stale: readonly Placed[] = [];
  ownMacs: ReadonlySet<string> = new Set();
  readonly #options: AddressTableOptions;

  constructor(options: AddressTableOptions) {
    this.#options = options;
  }

  /** What the gate has to know of them. */
  wanted(): Omit<WantedGate, 'deadlineMs'> {
    const all = [...this.entries.values()];
    return {
      guarded: [...new Set([...this.entries.keys(), ...this.stale.map(({ address }) => address)])],
      open: all.filter(({ isOpen }) => isOpen).map(placeOf),
      interfaces: [...new Map(all.map(({ link }) => [link.index, link])).values()],
    };
  }

  isThere(address: VipAddress): boolean {
    return this.entries.get(address)?.isThere === true;
  }

  async readLinks(): Promise<readonly Link[]> {
    const links = await this.#options.kernel.links();
    this.ownMacs = new Set(links.map(({ mac }) => mac));
    return links;
  }

  /** Which interface each belongs on; those that can be on none are told. */
  async findPlaces(
    addresses: readonly VipAddress[],
    refused: Map<VipAddress, TakeRefusal>,
  ): Promise<Map<VipAddress, Link>> {
    const wanted = new Map<VipAddress, Link>();
    if (addresses.length === 0) return wanted;
    const links = await this.readLinks();
    const linkOf = linkFinder(links, this.#options.interface);
    const holderOf = holderFinder(links);
    for (const address of addresses) {
      const link = linkOf(address);
      const holder = this.entries.has(address) ? undefined : holderOf(address);
      if (holder !== undefined)
        refused.set(address, { kind: 'failed', reason: `${holder.name} has it, and not by us` });
      else if (link === undefined) refused.set(address, { kind: 'no-interface' });
      else wanted.set(address, link);
    }
    return wanted;
  }

  /** Adds them with the gate closed, and reads them back. */
  async place(wanted: ReadonlyMap<VipAddress, Link>, mine: Work): Promise<Failed> {
    const { kernel, gate, validS } = this.#options;
    const failed = new Map<VipAddress, string>();
    const fresh: Entry[] = [];
    for (const [address, link] of wanted) {
      const reason = this.#stopped(address, mine);
      const entry = { address, link, isOpen: false, isThere: false };
      if (reason !== undefined) failed.set(address, reason);
      else {
        this.entries.set(address, entry);
        fresh.push(entry);
      }
    }
    if (fresh.length === 0) return failed;
    try {
      // Both before the kernel is asked for one.
      const begun = await Promise.allSettled([this.record(), gate().write()]);
      // Neither is on its way any more when the other was refused: what is undone is written down, too.
      for (const each of begun) if (each.status === 'rejected') throw each.reason;
      const complaint = await kernel.changeAddresses(fresh.map((entry) => ({ ...placeOf(entry), validS })));
      const isPlaced = isOn(await this.readLinks());
      for (const entry of fresh) {
        const { address } = entry;
        const isThere = isPlaced(placeOf(entry));
        const reason = isThere ? this.#stopped(address, mine) : complaint || 'it is not there when read back';
        if (reason === undefined) entry.isThere = true;
        else failed.set(address, reason);
      }
    } catch (error) {
      for (const { address } of fresh) failed.set(address, messageOf(error));
    }
    await this.undo([...failed.keys()]);
    return failed;
  }

  /** Lets out what is there. */
  async open(addresses: readonly VipAddress[], mine: Work): Promise<Failed> {
    const failed = new Map<VipAddress, string>();
    for (const address of addresses) {
      const entry = this.entries.get(address);
      const reason = entry?.isThere === true ? this.#stopped(address, mine) : 'it is not there any more';
      if (entry === undefined || reason !== undefined) failed.set(address, reason ?? 'it is not there any more');
      else entry.isOpen = true;
    }
    try {
      if (failed.size < addresses.length) await this.#options.gate().write();
    } catch (error) {
      for (const address of addresses) failed.set(address, messageOf(error));
    }
    await this.undo([...failed.keys()]);
    return failed;
  }

  /** What was begun and is not to be. */
  async undo(addresses: readonly VipAddress[]): Promise<void> {
    const begun = addresses.flatMap((address) => this.entries.get(address) ?? []);
    if (begun.length === 0) return;
    for (const entry of begun) [entry.isOpen, entry.isThere] = [false, false];
    await this.remove(begun.map(placeOf));
    for (const entry of begun) if (this.entries.get(entry.address) === entry) this.entries.delete(entry.address);
    await this.record();
    await this.#options.gate().write();
  }

  /** Removes and reads back. What stays is told. */
  async remove(placed: readonly Placed[]): Promise<void> {
    const isThere = (links: readonly Link[]) => placed.filter(isOn(links));
    const present = isThere(await this.readLinks());
    if (present.length === 0) return;
    const complaint = await this.#options.kernel.changeAddresses(present.map((one) => ({ ...one, validS: undefined })));
    const left = isThere(await this.readLinks());
    if (left.length === 0) return;
    throw new Error(`the kernel keeps ${left.map(({ address }) => address).join(', ')}: ${complaint}`);
  }

  /** Addresses that an earlier process has written down. */
  async readJournal(): Promise<readonly VipAddress[]> {
    return (await this.#options.journal.read()).map(({ address }) => address);
  }

  record(): Promise<void> {
    return this.#options.journal.write([...this.stale, ...[...this.entries.values()].map(placeOf)]);
  }

  /** Why work on an address must not go on. */
  #stopped(address: VipAddress, mine: Work): string | undefined {
    const { clock, deadlineMs } = this.#options;
    if (this.work.get(address) !== mine) return 'it was given up meanwhile';
    return clock.monotonicMs() < deadlineMs() ? undefined : 'the deadline passed meanwhile';
  }
}

export const placeOf = ({ address, link }: Entry): Placed => ({ address, interface: link.name });

/** Whether an interface has exactly that: a network with the same address is somebody else's. */
export function isOn(links: readonly Link[]): (placed: Placed) => boolean {
  const keyOf = (name: string, address: string) => `${name} ${address}`;
  const there = new Set(
    links.flatMap(({ name, addresses }) =>
      addresses.flatMap(({ address, prefix }) => (prefix === hostPrefix(address) ? keyOf(name, address) : [])),
    ),
  );
  return ({ interface: name, address }) => there.has(keyOf(name, address));
}
