/**
 * The actuator on a Linux kernel: what is wanted is kept here, and the kernel is made to agree with it.
 *
 * Order is all that it is about. An address is in the journal and guarded by the gate before it is on
 * an interface; it is read back before the gate opens; it is announced when that is so. And the other
 * way round: closed, removed, read back, forgotten. Whatever was asked last counts: a `silence` that
 * comes while a `take` is on its way ends that.
 *
 * Not here: whether a node may have an address (coordination), rules as text (gate-rules.ts), frames.
 */
import type { Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/message-of.ts';
import type { ActuatorSighting, HeldAddress, TakeOutcome, TakeRefusal, VipActuator } from '../actuator.ts';
import type { VipAddress } from '../model.ts';
import { createAnnouncer } from './announcer.ts';
import { announcementsOf, type Claim } from './claim.ts';
import { findDuplicates, probeTimes, type ProbeTimes } from './duplicate-probe.ts';
import { createEars, type Ears } from './ears.ts';
import { createGate, type WantedGate } from './gate.ts';
import { journalIn } from './journal.ts';
import { kernelAnnouncer } from './kernel-announcer.ts';
import { kernelNetwork, type RunProgram } from './kernel-network.ts';
import { addLine, deleteLine, holderOf, hostPrefix, linkFinder, type Link, type Placed } from './network-state.ts';
import { oneAtATime } from './one-at-a-time.ts';
import type { OpenPacketLink } from './packet-link.ts';

export interface ActuatorOptions {
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly run: RunProgram;
  /** For the journal alone. */
  readonly stateDir: string;
  /** Undefined where there is no FFI. */
  readonly openLink: OpenPacketLink | undefined;
  /** In place of the interface whose network has the address. */
  readonly interface?: string | undefined;
  readonly probe?: ProbeTimes;
  readonly lookEveryMs?: number;
  readonly onSighting: (sighting: ActuatorSighting) => void;
}

/** What has been done since the start. */
export interface ActuatorCounters {
  readonly announcements: number;
  readonly defences: number;
  readonly conflicts: number;
}

export interface KernelActuator extends VipActuator {
  counters(): ActuatorCounters;
}

/** After so long the kernel removes an address by itself. Whole seconds. */
const validS = 30;
/** How often that is said again, and looked whether everything is still there. */
const lookEveryMs = 10_000;
/** Source: RFC 5227 §2.4, DEFEND_INTERVAL. */
const defendMs = 10_000;

interface Entry {
  readonly address: VipAddress;
  readonly link: Link;
  isOpen: boolean;
  /** It is read back: from now on it is missed when it is gone. */
  isThere: boolean;
}

export function createActuator(options: ActuatorOptions): KernelActuator {
  const { clock, random, onSighting } = options;
  const kernel = kernelNetwork(options.run, clock);
  const journal = journalIn(options.stateDir);
  const inTurn = oneAtATime();
  const entries = new Map<VipAddress, Entry>();
  /** Addresses that an earlier process may have left behind. */
  let stale: readonly Placed[] = [];
  /** The take that counts for an address. */
  const claims = new Map<VipAddress, symbol>();
  const defendedMs = new Map<VipAddress, number>();
  const counts = { announcements: 0, defences: 0, conflicts: 0 };
  let ownMacs: ReadonlySet<string> = new Set();
  let deadlineMs = -Infinity;
  let lookTimer: Disposable | undefined;

  const gate = createGate({ kernel, clock, wanted: wantedGate });
  const announcer = createAnnouncer({ clock, random, announce });
  const byKernel = kernelAnnouncer(kernel);
  const ears: Ears | undefined = options.openLink && createEars({ clock, openLink: options.openLink, onClaim: judge });

  function wantedGate(): WantedGate {
    const all = [...entries.values()];
    return {
      guarded: [...new Set([...entries.keys(), ...stale.map(({ address }) => address)])],
      open: all.filter(({ isOpen }) => isOpen).map(placeOf),
      interfaces: [...new Map(all.map(({ link }) => [link.index, link])).values()],
      deadlineMs,
    };
  }

  const maySpeak = (entry: Entry | undefined): entry is Entry =>
    entry?.isOpen === true && clock.monotonicMs() < deadlineMs;

  function announce(address: VipAddress): void {
    const entry = entries.get(address);
    if (!maySpeak(entry)) return;
    if (ears === undefined) {
      byKernel.announce(entry.link);
      return;
    }
    const link = ears.link(entry.link.index);
    for (const frame of announcementsOf(entry.link.mac, address)) {
      if (link.send(frame) === undefined) counts.announcements += 1;
    }
  }

  function judge({ address, mac, isProbe }: Claim): void {
    const entry = entries.get(address);
    if (entry?.isOpen !== true || isProbe || ownMacs.has(mac)) return;
    const nowMs = clock.monotonicMs();
    if (nowMs - (defendedMs.get(address) ?? -Infinity) < defendMs) return;
    defendedMs.set(address, nowMs);
    counts.conflicts += 1;
    if (maySpeak(entry)) {
      counts.defences += 1;
      announce(address);
    }
    onSighting({ kind: 'conflict', address, mac });
  }

  async function readLinks(): Promise<readonly Link[]> {
    const links = await kernel.links();
    ownMacs = new Set(links.map(({ mac }) => mac));
    return links;
  }

  const record = () => journal.write([...stale, ...[...entries.values()].map(placeOf)]);

  /** Removes and reads back. What stays is told. */
  async function remove(placed: readonly Placed[]): Promise<void> {
    const isThere = (links: readonly Link[]) => placed.filter(isOn(links));
    const present = isThere(await readLinks());
    if (present.length === 0) return;
    const complaint = await kernel.changeAddresses(present.map(deleteLine));
    const left = isThere(await readLinks());
    if (left.length === 0) return;
    throw new Error(`the kernel keeps ${left.map(({ address }) => address).join(', ')}: ${complaint}`);
  }

  function close(addresses: readonly VipAddress[]): void {
    for (const address of addresses) {
      claims.delete(address);
      const entry = entries.get(address);
      if (entry !== undefined) entry.isOpen = false;
    }
    announcer.stop(addresses);
  }

  async function drop(addresses: readonly VipAddress[]): Promise<void> {
    close(addresses);
    const closing = gate.write();
    await closing.catch(() => undefined);
    await inTurn(async () => {
      const gone = addresses
        .flatMap((address) => entries.get(address) ?? [])
        .filter(({ address }) => !claims.has(address));
      for (const entry of gone) entry.isThere = false;
      await remove(gone.map(placeOf));
      for (const { address } of gone) entries.delete(address);
      await record();
      await gate.write();
    });
    // The addresses are gone all the same, but somebody has to know that the gate has not obeyed.
    await closing;
  }

  /** Adds what is free, reads it back, opens the gate. */
  async function add(wanted: ReadonlyMap<VipAddress, Link>, mine: symbol): Promise<ReadonlyMap<VipAddress, string>> {
    const failed = new Map<VipAddress, string>();
    const isMine = (address: VipAddress) => claims.get(address) === mine;
    const mayStill = () => clock.monotonicMs() < deadlineMs;
    for (const [address, link] of wanted) {
      if (!isMine(address)) failed.set(address, 'it was given up meanwhile');
      else if (!mayStill()) failed.set(address, 'the deadline passed meanwhile');
      else entries.set(address, { address, link, isOpen: false, isThere: false });
    }
    const fresh = [...entries.values()].filter(({ address }) => wanted.has(address) && !failed.has(address));
    try {
      await record();
      await gate.write();
      const complaint = await kernel.changeAddresses(fresh.map((entry) => addLine(placeOf(entry), validS)));
      const isPlaced = isOn(await readLinks());
      for (const entry of fresh) {
        const { address } = entry;
        if (!isPlaced(placeOf(entry))) failed.set(address, complaint || 'it is not there when read back');
        else if (!isMine(address)) failed.set(address, 'it was given up meanwhile');
        else if (!mayStill()) failed.set(address, 'the deadline passed meanwhile');
        else [entry.isThere, entry.isOpen] = [true, true];
      }
      await gate.write();
    } catch (error) {
      for (const { address } of fresh) failed.set(address, messageOf(error));
    }
    await undo(fresh.filter(({ address }) => failed.has(address)));
    return failed;
  }

  async function undo(begun: readonly Entry[]): Promise<void> {
    if (begun.length === 0) return;
    for (const entry of begun) [entry.isOpen, entry.isThere] = [false, false];
    await remove(begun.map(placeOf));
    for (const entry of begun) if (entries.get(entry.address) === entry) entries.delete(entry.address);
    await record();
    await gate.write();
  }

  /** Says again how long the addresses are valid, and tells which of them are gone. The gate is written anew, too. */
  async function look(): Promise<void> {
    await inTurn(async () => {
      if (clock.monotonicMs() >= deadlineMs) return;
      const isPlaced = isOn(await readLinks());
      const there = [...entries.values()].filter(({ isThere }) => isThere);
      const missing = there.filter((entry) => !isPlaced(placeOf(entry)));
      for (const entry of missing) entry.isThere = false;
      for (const { address } of missing) onSighting({ kind: 'missing', address });
      const kept = there.filter(({ isThere }) => isThere);
      await kernel.changeAddresses(kept.map((entry) => addLine(placeOf(entry), validS)));
      await gate.write();
    }).catch(() => undefined); // The kernel's own switches go on; the next look tries again.
  }
  function lookAgain(): void {
    lookTimer = clock.timer(options.lookEveryMs ?? lookEveryMs, () => void look().then(() => lookTimer && lookAgain()));
  }

  return {
    async cleanUp(_signal) {
      const before = await kernel.readGate();
      const links = await readLinks();
      const written = (await journal.read()).map(({ address }) => address);
      const candidates = new Set([...written, ...before.guarded]);
      const isPlaced = isOn(links);
      const places = [...candidates].map((address) => ({ address, interface: holderOf(links, address)?.name ?? '' }));
      stale = places.filter(isPlaced);
      await gate.begin();
      const removed = stale;
      await inTurn(() => remove(removed));
      stale = [];
      await record();
      await gate.write();
      lookAgain();
      return removed.map(({ address }) => address);
    },

    async take(addresses, untilMs, signal) {
      const mine = Symbol('take');
      const refused = new Map<VipAddress, TakeRefusal>();
      if (untilMs > deadlineMs) deadlineMs = untilMs;
      for (const address of addresses) claims.set(address, mine);
      const links = await readLinks();
      const linkOf = linkFinder(links, options.interface);
      const held = new Set(addresses.filter((address) => entries.get(address)?.isOpen === true));
      const wanted = new Map<VipAddress, Link>();
      for (const address of addresses) {
        const link = linkOf(address);
        const holder = entries.has(address) ? undefined : holderOf(links, address);
        if (held.has(address)) continue;
        if (holder !== undefined)
          refused.set(address, { kind: 'failed', reason: `${holder.name} has it, and not by us` });
        else if (link === undefined) refused.set(address, { kind: 'no-interface' });
        else wanted.set(address, link);
      }
      if (ears !== undefined && wanted.size > 0) {
        const probe = { ears, clock, times: options.probe ?? probeTimes, wanted, ownMacs, signal };
        for (const [address, mac] of await findDuplicates(probe)) {
          wanted.delete(address);
          refused.set(address, { kind: 'conflict', mac });
        }
      }
      signal.throwIfAborted();
      const failed = wanted.size === 0 ? new Map<VipAddress, string>() : await inTurn(() => add(wanted, mine));
      for (const [address, reason] of failed) refused.set(address, { kind: 'failed', reason });
      announcer.start(addresses.filter((address) => !refused.has(address) && entries.get(address)?.isOpen === true));
      return addresses.map((address): TakeOutcome => ({ address, refused: refused.get(address) }));
    },

    async silence(addresses) {
      close(addresses);
      await gate.write().catch(async (error: unknown) => {
        // Without a gate, only one that is not there is not answered for.
        await drop(addresses);
        throw error;
      });
    },

    drop,

    async arm(untilMs) {
      const wasLate = clock.monotonicMs() >= deadlineMs;
      deadlineMs = untilMs;
      if (entries.size === 0) return;
      await gate.arm();
      if (wasLate) announcer.start([...entries.values()].filter(maySpeak).map(({ address }) => address));
    },

    async held() {
      const [links, { open, armed }] = await Promise.all([readLinks(), kernel.readGate()]);
      const isPlaced = isOn(links);
      return [...entries.values()].flatMap((entry): HeldAddress[] => {
        const placed = placeOf(entry);
        if (!isPlaced(placed)) return [];
        return [{ ...placed, open: open.get(entry.address) === placed.interface && armed.has(placed.interface) }];
      });
    },

    counters: () => ({ ...counts }),

    async [Symbol.asyncDispose]() {
      lookTimer?.[Symbol.dispose]();
      lookTimer = undefined;
      announcer[Symbol.dispose]();
      try {
        await drop([...entries.keys()]);
        await byKernel.end();
        await gate.end();
      } finally {
        ears?.[Symbol.dispose]();
      }
    },
  };
}

const placeOf = ({ address, link }: Entry): Placed => ({ address, interface: link.name });

/** Whether an interface has exactly that: a network with the same address is somebody else's. */
function isOn(links: readonly Link[]): (placed: Placed) => boolean {
  const keyOf = (name: string, address: string) => `${name} ${address}`;
  const there = new Set(
    links.flatMap(({ name, addresses }) =>
      addresses.flatMap(({ address, prefix }) => (prefix === hostPrefix(address) ? keyOf(name, address) : [])),
    ),
  );
  return ({ interface: name, address }) => there.has(keyOf(name, address));
}
