/**
 * "A port that another process answers on is not our readiness": after a connection to an address
 * of this machine, looks whether the listening socket belongs to the unit's processes.
 *
 * Ours is a process whose pid is the unit's, that is in a group led by one, or that descends from one
 * (a server behind a wrapper). Where that cannot be told the check passes and says so in a note:
 * a readiness that cannot be disproved is better than a start that never ends.
 */
import type { Socket } from 'node:net';
import { describeAddress, isLoopback, type Address } from './connection.ts';
import { ProbeFailure } from './probe.ts';
import { findHolder, hexAddressesOf, holdsSocket, processFacts, tcpListeners, unixListeners } from './proc-sockets.ts';

export interface OwnerCheck {
  /** To be told when nobody listens at the address now. */
  nobodyListens(address: Address): void;
  /**
   * @param socket - a connection to it; without one the address is of this machine, and written as one
   * @throws {@link ProbeFailure} "127.0.0.1:2379 is held by pid 812 etcd, not by this unit"
   */
  verify(address: Address, socket?: Socket): void;
}

export interface OwnerCheckOptions {
  /** The unit's processes now. Empty: it has none (a task, a builtin), nothing is checked. */
  readonly pids: () => readonly number[];
  /** Told once when the owner could not be found out. */
  readonly note?: ((text: string) => void) | undefined;
}

export function ownerCheck({ pids, note }: OwnerCheckOptions): OwnerCheck {
  // Once per address: an address that was ours in this generation stays ours while its process lives.
  const verified = new Set<string>();
  // Finding a stranger means looking through all of /proc: once for each listening socket, not at each attempt.
  const strangers = new Map<string, string>();
  // Finding the listener takes 0.2 ms, and without netlink 10. Where nobody listened at the attempt just
  // before, the listener is as old as that, which is proof enough for the first answer; the next attempt
  // (a server that says "not yet", or the health check) looks.
  const justRefused = new Set<string>();

  const verify = (address: Address, socket?: Socket): void => {
    const place = describeAddress(address);
    const ours = pids();
    if (ours.length === 0 || verified.has(place) || !isLocal(address, socket)) return;
    if (justRefused.delete(place)) return;
    const inodes = new Set<string>();
    for (const inode of listenersAt(address, socket)) {
      if (ours.some((pid) => holdsSocket(pid, new Set([inode])) === true)) {
        verified.add(place);
        return;
      }
      inodes.add(inode);
    }
    const key = [...inodes].join();
    const stranger = strangers.get(key) ?? findStranger(inodes, ours);
    if (stranger === 'ours' || stranger === 'unknown') {
      if (stranger === 'unknown') note?.(`who listens at ${place} could not be found out`);
      verified.add(place);
      return;
    }
    strangers.set(key, stranger);
    throw new ProbeFailure(`${place} is held by ${stranger}, not by this unit`, {
      hint: `stop ${stranger}, or choose another address for this unit`,
    });
  };
  return {
    verify,
    nobodyListens(address) {
      justRefused.add(describeAddress(address));
    },
  };
}

function isLocal(address: Address, socket: Socket | undefined): boolean {
  if (address.kind === 'unix' || socket === undefined) return true;
  const { remoteAddress } = socket;
  return remoteAddress !== undefined && (isLoopback(remoteAddress) || remoteAddress === socket.localAddress);
}

/** Inodes of the sockets that can have accepted the connection: bound to its address, or to any. */
function* listenersAt(address: Address, socket: Socket | undefined): Generator<string> {
  if (address.kind === 'unix') {
    for (const { inode } of unixListeners(address.path)) yield inode;
    return;
  }
  const exact = hexAddressesOf(socket === undefined ? address.host : (socket.remoteAddress ?? ''));
  for (const { inode, hexAddress } of tcpListeners(address.port)) {
    if (exact.includes(hexAddress) || /^0+$/.test(hexAddress)) yield inode;
  }
}

/** "ours" after all (a child of the unit), "unknown", or who it is: "pid 812 etcd". */
function findStranger(inodes: ReadonlySet<string>, ours: readonly number[]): string {
  if (inodes.size === 0) return 'unknown';
  const holder = findHolder(inodes);
  if (holder === undefined) {
    // When our own processes could be looked at, it is one that we may not look at.
    return ours.some((pid) => holdsSocket(pid, inodes) === undefined) ? 'unknown' : "another user's process";
  }
  return belongsTo(holder, ours) ? 'ours' : `pid ${String(holder)} ${processFacts(holder)?.command ?? ''}`.trimEnd();
}

function belongsTo(holder: number, ours: readonly number[]): boolean {
  const first = processFacts(holder);
  if (first === undefined) return false;
  // The group counts only when one of ours leads it: all others may share the supervisor's.
  if (ours.includes(first.group)) return true;
  for (let facts: typeof first | undefined = first; facts !== undefined && facts.ppid > 1;) {
    if (ours.includes(facts.ppid)) return true;
    facts = processFacts(facts.ppid);
  }
  return isOurDaemon(first, ours);
}

/** One that left its parent and group on purpose after the unit had started: adopted by init, younger than the unit. */
function isOurDaemon(holder: { ppid: number; startTicks: number }, ours: readonly number[]): boolean {
  // When this process is init itself, every unit looks like that.
  if (holder.ppid !== 1 || process.pid === 1) return false;
  const started = ours.map((pid) => processFacts(pid)?.startTicks ?? Number.POSITIVE_INFINITY);
  return holder.startTicks >= Math.min(...started);
}
