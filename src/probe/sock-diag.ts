/**
 * Asks the kernel for the TCP sockets that listen, by netlink: 0.1 ms, whatever else is
 * connected. /proc/net/tcp, the other way, walks the whole table of connections (12 ms each, where
 * memory is large), and the event loop stands still meanwhile.
 *
 * Sources: sock_diag(7), netlink(7); include/uapi/linux/{netlink,sock_diag,inet_diag}.h for the numbers.
 */
import { libc } from '../kernel/foreign.ts';
import { lazily } from '../kernel/lazily.ts';
import type { Listener } from './listener.ts';

/** Of both families, or undefined when this kernel does not answer. */
export interface AskListeners {
  at(port: number): readonly Listener[] | undefined;
  /** Ports at which anybody listens. */
  ports(): ReadonlySet<number> | undefined;
}

const netlink = { family: 16, raw: 3, closeOnExec: 0o2000000, sockDiag: 4 };
const messageType = { done: 3, byFamily: 20 };
/** NLM_F_REQUEST | NLM_F_DUMP */
const dumpRequest = 0x301;
/** NLM_F_DUMP_INTR: sockets came or went meanwhile, and some may be missing. */
const interrupted = 0x10;
const families = { ipv4: 2, ipv6: 10 };
const tcp = 6;
/** As a bit of a set: 1 << TCP_LISTEN. Source: include/net/tcp_states.h. */
const listenStates = 1 << 10;
const dontWait = 0x40;

const headerBytes = 16;
const requestBytes = headerBytes + 56;
/** In `inet_diag_msg`, after the header. */
const at = { family: 0, port: 4, source: 8, inode: 68 };
/** Some hundred listeners; a longer answer comes in several. */
const answerBytes = 32 * 1024;

/** Undefined where there is no FFI for this platform. */
export const askListeners = lazily(load);

function load(): AskListeners | undefined {
  const library = libc();
  if (library === undefined) return undefined;
  const socket = library.func('int socket(int family, int type, int protocol)');
  const send = library.func('long send(int fd, const void *message, size_t length, int flags)');
  const recv = library.func('long recv(int fd, void *answer, size_t length, int flags)');
  const close = library.func('int close(int fd)');
  const answer = Buffer.alloc(answerBytes);

  const dump = <T>(fd: number, family: number, port: number, read: ReadEntry<T>): readonly T[] | undefined => {
    const found: T[] = [];
    const request = diagRequest(family, port);
    if (send(fd, request, request.length, 0) !== request.length) return undefined;
    for (;;) {
      // The kernel has answered when `send` is back.
      const length = recv(fd, answer, answer.length, dontWait);
      if (length <= 0) return undefined;
      const part = readDiag(answer.subarray(0, length), read);
      if (part === undefined) return undefined;
      found.push(...part.entries);
      if (part.isLast) return found;
    }
  };
  const ask = <T>(port: number, read: ReadEntry<T>): readonly T[] | undefined => {
    const fd = socket(netlink.family, netlink.raw | netlink.closeOnExec, netlink.sockDiag);
    if (fd < 0) return undefined;
    try {
      const v4 = dump(fd, families.ipv4, port, read);
      const v6 = v4 && dump(fd, families.ipv6, port, read);
      return v6 && [...v4, ...v6];
    } finally {
      close(fd);
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
  request.writeUInt32LE(requestBytes, 0);
  request.writeUInt16LE(messageType.byFamily, 4);
  request.writeUInt16LE(dumpRequest, 6);
  request.writeUInt8(family, headerBytes);
  request.writeUInt8(tcp, headerBytes + 1);
  request.writeUInt32LE(listenStates, headerBytes + 4);
  request.writeUInt16BE(port, headerBytes + 8);
  return request;
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
  for (let start = 0; start + headerBytes <= datagram.length;) {
    const length = datagram.readUInt32LE(start);
    const type = datagram.readUInt16LE(start + 4);
    if ((datagram.readUInt16LE(start + 6) & interrupted) !== 0) return undefined;
    const body = datagram.subarray(start + headerBytes, start + length);
    // Its end says how it went: a negative errno where it could not be made.
    if (type === messageType.done)
      return body.length >= 4 && body.readInt32LE(0) === 0 ? { entries, isLast: true } : undefined;
    if (type !== messageType.byFamily || body.length < at.inode + 4) return undefined;
    entries.push(read(body));
    // Each begins at a multiple of four.
    start += (length + 3) & ~3;
  }
  return { entries, isLast: false };
}
