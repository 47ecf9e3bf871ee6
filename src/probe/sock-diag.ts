/**
 * Asks the kernel for the TCP sockets that listen, by netlink: 0.1 ms, whatever else is
 * connected. /proc/net/tcp, the other way, walks the whole table of connections (12 ms each, where
 * memory is large), and the event loop stands still meanwhile.
 *
 * Sources: sock_diag(7); include/uapi/linux/{sock_diag,inet_diag}.h for the numbers.
 */
import { closeSync } from 'node:fs';
import { libc } from '../kernel/foreign.ts';
import { lazily } from '../kernel/lazily.ts';
import { netlinkFlags, netlinkMessage, netlinkMessages, netlinkSockets, netlinkTypes } from '../kernel/netlink.ts';
import type { Listener } from './listener.ts';

/** Of both families, or undefined when this kernel does not answer. */
export interface AskListeners {
  at(port: number): readonly Listener[] | undefined;
  /** Ports at which anybody listens. */
  ports(): ReadonlySet<number> | undefined;
}

const sockDiag = 4;
const byFamily = 20;
const families = { ipv4: 2, ipv6: 10 };
const tcp = 6;
/** As a bit of a set: 1 << TCP_LISTEN. Source: include/net/tcp_states.h. */
const listenStates = 1 << 10;

const requestBytes = 56;
/** In `inet_diag_msg`, after the header. */
const at = { family: 0, port: 4, source: 8, inode: 68 };
/** Some hundred listeners; a longer answer comes in several. */
const answerBytes = 32 * 1024;

/** Undefined where there is no FFI for this platform. */
export const askListeners = lazily(load);

function load(): AskListeners | undefined {
  const library = libc();
  if (library === undefined) return undefined;
  const sockets = netlinkSockets(library, answerBytes);

  const dump = <T>(fd: number, family: number, port: number, read: ReadEntry<T>): readonly T[] | undefined => {
    const found: T[] = [];
    const request = diagRequest(family, port);
    if (sockets.send(fd, request) !== request.length) return undefined;
    for (;;) {
      const answer = sockets.receive(fd);
      if (answer === undefined) return undefined;
      const part = readDiag(answer, read);
      if (part === undefined) return undefined;
      found.push(...part.entries);
      if (part.isLast) return found;
    }
  };
  const ask = <T>(port: number, read: ReadEntry<T>): readonly T[] | undefined => {
    const fd = sockets.open(sockDiag);
    if (fd < 0) return undefined;
    try {
      const v4 = dump(fd, families.ipv4, port, read);
      const v6 = v4 && dump(fd, families.ipv6, port, read);
      return v6 && [...v4, ...v6];
    } finally {
      closeSync(fd);
    }
  };
  return {
    at: (port) => ask(port, listenerOf),
    ports() {
      const ports = ask(0, portOf);
      return ports && new Set(ports);
    },
  };
}

/** A `nlmsghdr` and an `inet_diag_req_v2`. */
export function diagRequest(family: number, port: number): Buffer {
  const request = Buffer.alloc(requestBytes);
  request.writeUInt8(family, 0);
  request.writeUInt8(tcp, 1);
  request.writeUInt32LE(listenStates, 4);
  request.writeUInt16BE(port, 8);
  const { request: isRequest, dump } = netlinkFlags;
  return netlinkMessage({ type: byFamily, flags: isRequest | dump, sequence: 0 }, [request]);
}

/** What is wanted of an `inet_diag_msg`. */
type ReadEntry<T> = (message: Buffer) => T;

const portOf: ReadEntry<number> = (message) => message.readUInt16BE(at.port);

export const listenerOf: ReadEntry<Listener> = (message) => {
  const words = message.readUInt8(at.family) === families.ipv4 ? 1 : 4;
  // As /proc/net/tcp writes it: words of 32 bits in the order of bytes of this machine.
  const hexAddress = Array.from({ length: words }, (_, i) =>
    message
      .readUInt32LE(at.source + 4 * i)
      .toString(16)
      .toUpperCase()
      .padStart(8, '0'),
  ).join('');
  return { inode: String(message.readUInt32LE(at.inode)), hexAddress };
};

/** One datagram of the answer; undefined when it says that there is none, or cannot be read. */
export function readDiag<T>(
  datagram: Buffer,
  read: ReadEntry<T>,
): { readonly entries: readonly T[]; readonly isLast: boolean } | undefined {
  const entries: T[] = [];
  const messages = netlinkMessages(datagram);
  if (messages === undefined) return undefined;
  for (const { type, flags, body } of messages) {
    if ((flags & netlinkFlags.interrupted) !== 0) return undefined;
    // Its end says how it went: a negative errno where it could not be made.
    if (type === netlinkTypes.done)
      return body.length >= 4 && body.readInt32LE(0) === 0 ? { entries, isLast: true } : undefined;
    if (type !== byFamily || body.length < at.inode + 4) return undefined;
    entries.push(read(body));
  }
  return { entries, isLast: false };
}
