/**
 * "A port that another process answers on is not our readiness": after a connection to an address
 * of this machine, looks whether the listening socket belongs to the unit's processes.
 *
 * Ours is a process whose pid is the unit's, that is in the group of one, or that descends from one
 * (a server behind a wrapper). Where that cannot be told the check passes and says so in a note:
 * a readiness that cannot be disproved is better than a start that never ends.
 */
import type { Socket } from 'node:net';
import { describeAddress, isLoopback, type Address } from './connection.ts';
import { ProbeFailure } from './probe.ts';
import {
  findHolder,
  hexAddressesOf,
  holdsSocket,
  processFacts,
  tcpListeners,
  unixListeners,
  type Listener,
} from './proc-sockets.ts';

/** @throws {@link ProbeFailure} "127.0.0.1:2379 is held by pid 812 etcd, not by this unit" */
export type OwnerCheck = (address: Address, socket: Socket) => void;

export interface OwnerCheckOptions {
  /** The unit's processes now. Empty: it has none (a task, a builtin), nothing is checked. */
  readonly pids: () => readonly number[];
  /** Told once when the owner could not be found out. */
  readonly note?: ((text: string) => void) | undefined;
}

export function ownerCheck({ pids, note }: OwnerCheckOptions): OwnerCheck {
  // Finding a stranger means looking through all of /proc: once for each listening socket, not at each attempt.
  const strangers = new Map<string, string>();
  let noted = false;
  return (address, socket) => {
    const ours = pids();
    if (ours.length === 0 || !isLocal(address, socket)) return;
    const listeners = listenersAt(address, socket);
    const inodes = new Set(listeners.map(({ inode }) => inode));
    const key = [...inodes].join();
    const known = strangers.get(key);
    const verdict = known ?? judge(inodes, ours);
    if (verdict === 'ours') return;
    if (verdict === 'unknown') {
      if (!noted) note?.(`who listens at ${describeAddress(address)} could not be found out`);
      noted = true;
      return;
    }
    strangers.set(key, verdict);
    throw new ProbeFailure(`${describeAddress(address)} is held by ${verdict}, not by this unit`, {
      hint: `stop ${verdict}, or choose another address for this unit`,
    });
  };
}

function isLocal(address: Address, socket: Socket): boolean {
  if (address.kind === 'unix') return true;
  const { remoteAddress } = socket;
  return remoteAddress !== undefined && (isLoopback(remoteAddress) || remoteAddress === socket.localAddress);
}

/** The sockets that can have accepted the connection: the kernel prefers an exact address to "any". */
function listenersAt(address: Address, socket: Socket): readonly Listener[] {
  if (address.kind === 'unix') return unixListeners(address.path);
  const all = tcpListeners(address.port);
  const wanted = hexAddressesOf(socket.remoteAddress ?? '');
  const exact = all.filter(({ hexAddress }) => wanted.includes(hexAddress));
  return exact.length > 0 ? exact : all.filter(({ hexAddress }) => /^0+$/.test(hexAddress));
}

/** "ours", "unknown", or who it is: "pid 812 etcd". */
function judge(inodes: ReadonlySet<string>, ours: readonly number[]): string {
  if (inodes.size === 0) return 'unknown';
  const held = ours.map((pid) => holdsSocket(pid, inodes));
  if (held.includes(true)) return 'ours';
  const holder = findHolder(inodes);
  if (holder === undefined) {
    // Our own processes could be looked at and none has it: then it is one we may not look at.
    return held.includes(undefined) ? 'unknown' : "another user's process";
  }
  return belongsTo(holder, ours) ? 'ours' : `pid ${String(holder)} ${processFacts(holder)?.command ?? ''}`.trimEnd();
}

function belongsTo(holder: number, ours: readonly number[]): boolean {
  const first = processFacts(holder);
  if (first === undefined) return false;
  const groups = new Set(ours.map((pid) => processFacts(pid)?.group));
  if (groups.has(first.group)) return true;
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
