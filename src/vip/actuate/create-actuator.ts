/**
 * The actuator on a Linux kernel: what is wanted is kept here, and the kernel is made to agree with it.
 *
 * Order is all that it is about. An address is in the journal and guarded by the gate before it is on
 * an interface; it is read back before the gate opens; it is announced when that is so. What is prepared
 * has come as far as the gate. And the other way round: closed, removed, read back, forgotten. Whatever was
 * asked last counts: a `silence` that comes while a `take` is on its way ends that.
 *
 * Not here: whether a node may have an address (coordination), rules as text (gate-rules.ts), frames.
 */
import type { Clock } from '../../kernel/clock.ts';
import type { ActuatorSighting, HeldAddress, TakeOutcome, TakeRefusal, VipActuator } from '../actuator.ts';
import type { VipAddress } from '../model.ts';
import { AddressTable, isOn, placeOf, type Entry } from './address-table.ts';
import { createAnnouncer } from './announcer.ts';
import { createAsking, type Asking } from './asking.ts';
import { announcementsOf, type Claim } from './claim.ts';
import { probeTimes, type ProbeTimes } from './duplicate-probe.ts';
import { createEars, type Ears } from './ears.ts';
import { createGate, type Gate, type WantedGate } from './gate.ts';
import type { GateNetlink } from './gate-netlink.ts';
import { journalIn } from './journal.ts';
import { kernelAnnouncer } from './kernel-announcer.ts';
import { kernelNetwork, type RunProgram } from './kernel-network.ts';
import { holderFinder } from './network-state.ts';
import { oneAtATime } from './one-at-a-time.ts';
import type { OpenPacketLink } from './packet-link.ts';
import type { RouteNetlink } from './route-netlink.ts';

export interface ActuatorOptions {
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly run: RunProgram;
  /** For the journal alone. */
  readonly stateDir: string;
  /** Undefined where there is no FFI. */
  readonly openLink: OpenPacketLink | undefined;
  /** Undefined where there is no FFI: `ip` is asked. */
  readonly routes?: RouteNetlink | undefined;
  /** Undefined where there is no FFI, or somebody else keeps the gate. */
  readonly netlink?: GateNetlink | undefined;
  /** In place of the interface whose network has the address. */
  readonly interface?: string | undefined;
  readonly probe?: ProbeTimes;
  readonly lookEveryMs?: number;
  /** Who keeps the kernel's gate, if not we. */
  readonly gate?: ((wanted: () => WantedGate) => Gate) | undefined;
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

export function createActuator(options: ActuatorOptions): KernelActuator {
  const { clock, random, onSighting } = options;
  const kernel = kernelNetwork(options.run, clock, options.routes);
  const inTurn = oneAtATime();
  const defendedMs = new Map<VipAddress, number>();
  const counts = { announcements: 0, defences: 0, conflicts: 0 };
  let deadlineMs = -Infinity;
  let lookTimer: Disposable | undefined;
  /** Until then the gate may be all that keeps from answering what an earlier process has left. */
  let isClean = false;

  const table = new AddressTable({
    kernel,
    journal: journalIn(options.stateDir),
    clock,
    gate: () => gate,
    deadlineMs: () => deadlineMs,
    interface: options.interface,
    validS,
  });
  const { entries } = table;
  const wantedGate = (): WantedGate => ({ ...table.wanted(), deadlineMs });
  const gate =
    options.gate?.(wantedGate) ?? createGate({ kernel, netlink: options.netlink, clock, wanted: wantedGate });
  const announcer = createAnnouncer({ clock, random, announce });
  const byKernel = kernelAnnouncer(kernel);
  const ears: Ears | undefined = options.openLink && createEars({ clock, openLink: options.openLink, onClaim: judge });
  const asking: Asking | undefined =
    ears && createAsking({ ears, clock, times: options.probe ?? probeTimes, ownMacs: () => table.ownMacs });

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
    if (entry?.isOpen !== true || isProbe || table.ownMacs.has(mac)) return;
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

  /** What was under way for them is given up. */
  function close(addresses: readonly VipAddress[]): void {
    for (const address of addresses) {
      table.work.delete(address);
      asking?.forget(address);
      const entry = entries.get(address);
      if (entry !== undefined) entry.isOpen = false;
    }
    announcer.stop(addresses);
  }

  async function drop(addresses: readonly VipAddress[]): Promise<void> {
    close(addresses);
    const closing = gate.write();
    await closing.catch(() => undefined);
    await inTurn(() => table.undo(addresses.filter((address) => !table.work.has(address))));
    // The addresses are gone all the same, but somebody has to know that the gate has not obeyed.
    await closing;
  }

  /** Says again how long the addresses are valid, and tells which of them are gone. The gate is written anew, too. */
  async function look(): Promise<void> {
    await inTurn(async () => {
      if (clock.monotonicMs() >= deadlineMs) return;
      const isPlaced = isOn(await table.readLinks());
      const there = [...entries.values()].filter(({ isThere }) => isThere);
      const missing = there.filter((entry) => !isPlaced(placeOf(entry)));
      for (const entry of missing) entry.isThere = false;
      for (const { address } of missing) onSighting({ kind: 'missing', address });
      const kept = there.filter(({ isThere }) => isThere);
      await kernel.changeAddresses(kept.map((entry) => ({ ...placeOf(entry), validS })));
      await gate.mend();
    }).catch(() => undefined); // The kernel's own switches go on; the next look tries again.
  }
  function lookAgain(): void {
    lookTimer = clock.timer(options.lookEveryMs ?? lookEveryMs, () => void look().then(() => lookTimer && lookAgain()));
  }

  return {
    async cleanUp(_signal) {
      const before = await kernel.readGate();
      const links = await table.readLinks();
      const written = await table.readJournal();
      const candidates = new Set([...written, ...before.guarded]);
      const isPlaced = isOn(links);
      const holderOf = holderFinder(links);
      const places = [...candidates].map((address) => ({ address, interface: holderOf(address)?.name ?? '' }));
      table.stale = places.filter(isPlaced);
      await gate.begin();
      const removed = table.stale;
      await inTurn(() => table.remove(removed));
      table.stale = [];
      await table.record();
      await gate.write();
      isClean = true;
      lookAgain();
      return removed.map(({ address }) => address);
    },

    async prepare(addresses, signal) {
      const mine = Symbol('prepare');
      const refused = new Map<VipAddress, TakeRefusal>();
      for (const address of addresses) table.work.set(address, mine);
      const wanted = await table.findPlaces(
        addresses.filter((address) => !table.isThere(address)),
        refused,
      );
      signal.throwIfAborted();
      asking?.begin(wanted, signal);
      for (const [address, reason] of await inTurn(() => table.place(wanted, mine)))
        refused.set(address, { kind: 'failed', reason });
      return outcomesOf(addresses, refused);
    },

    async take(addresses, { deadlineMs: untilMs, isFree }, signal) {
      const mine = Symbol('take');
      const refused = new Map<VipAddress, TakeRefusal>();
      const refuse = (failed: ReadonlyMap<VipAddress, string>) => {
        for (const [address, reason] of failed) refused.set(address, { kind: 'failed', reason });
      };
      if (untilMs > deadlineMs) deadlineMs = untilMs;
      for (const address of addresses) table.work.set(address, mine);
      const closed = addresses.filter((address) => entries.get(address)?.isOpen !== true);
      const wanted = await table.findPlaces(
        closed.filter((address) => !table.isThere(address)),
        refused,
      );
      if (asking !== undefined && !isFree) {
        const there = closed.flatMap((address) => entries.get(address) ?? []);
        const links = new Map([...there.map(({ address, link }) => [address, link] as const), ...wanted]);
        for (const [address, mac] of await asking.answered(links, signal)) {
          wanted.delete(address);
          refused.set(address, { kind: 'conflict', mac });
        }
      }
      signal.throwIfAborted();
      await inTurn(async () => {
        if (wanted.size > 0) refuse(await table.place(wanted, mine));
        await table.undo(closed.filter((address) => refused.has(address)));
        const ready = closed.filter((address) => !refused.has(address));
        if (ready.length > 0) refuse(await table.open(ready, mine));
      });
      announcer.start(addresses.filter((address) => !refused.has(address) && entries.get(address)?.isOpen === true));
      return outcomesOf(addresses, refused);
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
      const [links, { open, armed }] = await Promise.all([table.readLinks(), kernel.readGate()]);
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
        if (!isClean) return;
        await drop([...entries.keys()]);
        await byKernel.end();
        await gate.end();
      } finally {
        ears?.[Symbol.dispose]();
      }
    },
  };
}

const outcomesOf = (addresses: readonly VipAddress[], refused: ReadonlyMap<VipAddress, TakeRefusal>) =>
  addresses.map((address): TakeOutcome => ({ address, refused: refused.get(address) }));
