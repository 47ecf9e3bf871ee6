/**
 * Netlink: the sockets by which the kernel is asked, and the messages that go through them. What those say is a matter
 * of whoever asks.
 *
 * Sources: netlink(7); include/uapi/linux/netlink.h for the numbers.
 */
import type { ForeignLibrary } from './foreign.ts';
import { lazily } from './lazily.ts';

export const netlinkTypes = { error: 2, done: 3 } as const;
/** `interrupted`: something changed while it was told, and what has come may lack something. */
export const netlinkFlags = { request: 0x1, interrupted: 0x10, dump: 0x300 } as const;
export const netlinkHeaderBytes = 16;
const netlinkAttributeBytes = 4;

/** Each message and each attribute begins at a multiple of four. */
export const netlinkAligned = (length: number): number => (length + 3) & ~3;

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  /** Of the request that it answers. */
  readonly sequence: number;
  /** A view, without the header. */
  readonly body: Buffer;
}

/** A `nlmsghdr` and what belongs behind it. */
export function netlinkMessage(header: Omit<NetlinkMessage, 'body'>, parts: readonly Buffer[]): Buffer {
  const message = Buffer.concat([Buffer.alloc(netlinkHeaderBytes), ...parts]);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(header.type, 4);
  message.writeUInt16LE(header.flags, 6);
  message.writeUInt32LE(header.sequence, 8);
  return message;
}

/** An attribute (`nlattr`) with its value, filled up to where the next one begins. */
export function netlinkAttribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(netlinkAttributeBytes + netlinkAligned(value.length));
  bytes.writeUInt16LE(netlinkAttributeBytes + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  value.copy(bytes, netlinkAttributeBytes);
  return bytes;
}

/** What one datagram holds; undefined when that is cut off, or is none. */
export function netlinkMessages(datagram: Buffer): readonly NetlinkMessage[] | undefined {
  const messages: NetlinkMessage[] = [];
  for (let start = 0; start < datagram.length;) {
    const length = start + netlinkHeaderBytes <= datagram.length ? datagram.readUInt32LE(start) : 0;
    // A length of nothing would be read for ever.
    if (length < netlinkHeaderBytes || start + length > datagram.length) return undefined;
    messages.push({
      type: datagram.readUInt16LE(start + 4),
      flags: datagram.readUInt16LE(start + 6),
      sequence: datagram.readUInt32LE(start + 8),
      body: datagram.subarray(start + netlinkHeaderBytes, start + length),
    });
    start += netlinkAligned(length);
  }
  return messages;
}

const socketNumbers = { family: 16, raw: 3, closeOnExec: 0o2000000, dontWait: 0x40 };

export interface NetlinkSockets {
  /** @returns a file descriptor, to be closed; negative: errno says why there is none */
  open(protocol: number): number;
  /** The kernel has done it, or has the answer, when this is back. @returns negative: errno says why not */
  send(fd: number, message: Buffer): number;
  /** Best effort: what a kernel does not know it goes without. Levels and names as in setsockopt(2). */
  setOption(fd: number, level: number, name: number, value: number): void;
  /** The next datagram, until the next call; undefined: there is none, or errno says why not. */
  receive(fd: number): Buffer | undefined;
}

/** @param answerBytes - of the longest datagram */
export function netlinkSockets({ func }: Pick<ForeignLibrary, 'func'>, answerBytes: number): NetlinkSockets {
  const socket = func('int socket(int family, int type, int protocol)');
  const send = func('long send(int fd, const void *message, size_t length, int flags)');
  const receive = func('long recv(int fd, void *answer, size_t length, int flags)');
  // Not all need one, and each declaration takes its time.
  const setOption = lazily(() =>
    func('int setsockopt(int fd, int level, int name, const void *value, unsigned int length)'),
  );
  const answer = Buffer.alloc(answerBytes);
  const { family, raw, closeOnExec, dontWait } = socketNumbers;
  return {
    open: (protocol) => socket(family, raw | closeOnExec, protocol),
    send: (fd, message) => send(fd, message, message.length, 0),
    setOption(fd, level, name, value) {
      const bytes = Buffer.alloc(4);
      bytes.writeInt32LE(value);
      setOption()(fd, level, name, bytes, bytes.length);
    },
    receive(fd) {
      const length = receive(fd, answer, answer.length, dontWait);
      return length <= 0 ? undefined : answer.subarray(0, length);
    },
  };
}
