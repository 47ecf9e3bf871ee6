/**
 * Listening sockets and who holds them (Linux), by netlink where there is FFI, else from /proc. Synchronous:
 * these are small reads of memory, and what they find out is only true at this moment.
 *
 * Source: proc(5) for /proc/net/{tcp,tcp6,unix}, /proc/PID/{fd,stat,comm}.
 */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import type { PortHolder } from './hints.ts';
import type { Listener } from './listener.ts';
import { askListeners } from './sock-diag.ts';

/** State LISTEN of a TCP socket in /proc/net/tcp. Source: include/net/tcp_states.h. */
const tcpListen = '0A';
/** Flag of a unix socket that accepts connections, __SO_ACCEPTCON. Source: proc(5). */
const acceptsConnections = 0x10000;

/** TCP listeners on `port`, of all local addresses; without netlink taking only the first is cheaper. */
export function* tcpListeners(port: number): Generator<Listener> {
  const told = askListeners()?.at(port);
  yield* told ?? listenersInProc(port);
}

/**
 * Without netlink. The kernel lists listeners first and then walks its whole table of connections,
 * which takes 5 ms and more however few there are; so records are read one by one, no further than needed.
 */
export function* listenersInProc(port: number): Generator<Listener> {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const tables = [listeningRecords('/proc/net/tcp'), listeningRecords('/proc/net/tcp6')];
  try {
    // In turn, because servers of Go and Node.js listen in the second table, others in the first.
    while (tables.length > 0) {
      for (const table of [...tables]) {
        const { value: record, done } = table.next();
        if (done === true) tables.splice(tables.indexOf(table), 1);
        else if (record.local.endsWith(suffix)) {
          yield { inode: record.inode, hexAddress: record.local.slice(0, -suffix.length) };
        }
      }
    }
  } finally {
    for (const table of tables) table.return(undefined);
  }
}

/** Shorter than any record, so that one read makes the kernel find one record. */
const readBytes = 100;

function* listeningRecords(path: string): Generator<{ local: string; inode: string }, undefined> {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return; // No IPv6, or no /proc at all.
  }
  try {
    const chunk = Buffer.allocUnsafe(readBytes);
    let rest = '';
    for (let header = true; ;) {
      const end = rest.indexOf('\n');
      if (end === -1) {
        const length = readSync(fd, chunk);
        if (length === 0) return;
        rest += chunk.toString('latin1', 0, length);
        continue;
      }
      const [, local = '', , state, , , , , , inode] = rest.slice(0, end).trim().split(/\s+/);
      rest = rest.slice(end + 1);
      if (header) header = false;
      else if (state !== tcpListen || inode === undefined) return;
      else yield { local, inode };
    }
  } finally {
    closeSync(fd);
  }
}

/** Unix stream sockets that listen at `path`. */
export function unixListeners(path: string): Listener[] {
  const found: Listener[] = [];
  for (const line of linesOf('/proc/net/unix')) {
    if (!line.endsWith(` ${path}`)) continue;
    const [, , , flags = '0', , , inode] = line.trim().split(/\s+/);
    if ((Number.parseInt(flags, 16) & acceptsConnections) !== 0 && inode !== undefined) {
      found.push({ inode, hexAddress: '' });
    }
  }
  return found;
}

/** An IPv4 or (mapped) IPv6 address as /proc/net/tcp{,6} writes it, or undefined if it is none. */
export function hexAddressesOf(ip: string): readonly string[] {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)?.[1] ?? ip;
  const v4 = mapped.split('.').map(Number);
  if (v4.length === 4) {
    const word = v4
      .reverse()
      .map((byte) => byte.toString(16).toUpperCase().padStart(2, '0'))
      .join('');
    return [word, `0000000000000000FFFF0000${word}`];
  }
  return ip === '::1' ? ['00000000000000000000000001000000'] : [];
}

/** True when the process holds a socket of `inodes`, false when not, undefined when it may not be looked at or is gone. */
export function holdsSocket(pid: number, inodes: ReadonlySet<string>): boolean | undefined {
  const folder = `/proc/${String(pid)}/fd`;
  let fds: string[];
  try {
    fds = readdirSync(folder);
  } catch {
    return undefined;
  }
  return fds.some((fd) => {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${fd}`))?.[1];
      return inode !== undefined && inodes.has(inode);
    } catch {
      return false; // Closed meanwhile.
    }
  });
}

/** The first process seen holding a socket of `inodes`; undefined when none that we may look at does. */
export function findHolder(inodes: ReadonlySet<string>): number | undefined {
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (Number.isInteger(pid) && holdsSocket(pid, inodes) === true) return pid;
  }
  return undefined;
}

export interface ProcessFacts {
  readonly command: string;
  readonly ppid: number;
  readonly group: number;
  /** Clock ticks after boot at which it started. */
  readonly startTicks: number;
}

export function processFacts(pid: number): ProcessFacts | undefined {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
    // The name is in parentheses and may hold anything, parentheses and spaces too.
    const end = stat.lastIndexOf(')');
    const fields = stat.slice(end + 2).split(' ');
    return {
      command: stat.slice(stat.indexOf('(') + 1, end),
      ppid: Number(fields[1]),
      group: Number(fields[2]),
      startTicks: Number(fields[19]),
    };
  } catch {
    return undefined;
  }
}

/** Who listens on a local TCP port; undefined when nobody does or it cannot be found out (another user's process). */
export function whoHoldsPort(port: number): PortHolder | undefined {
  const inodes = new Set([...tcpListeners(port)].map(({ inode }) => inode));
  const pid = inodes.size === 0 ? undefined : findHolder(inodes);
  const command = pid === undefined ? undefined : processFacts(pid)?.command;
  return pid === undefined || command === undefined ? undefined : { pid, command };
}

function linesOf(table: string): readonly string[] {
  try {
    return readFileSync(table, 'utf8').split('\n');
  } catch {
    return []; // No IPv6, or no /proc at all.
  }
}
