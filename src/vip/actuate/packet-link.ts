/**
 * Frames on an interface by packet sockets, through FFI: Node.js has none. They never wait: who
 * receives asks again. A blocking read would hold a thread of libuv, and the process's exit, until
 * somebody sends a frame.
 *
 * Sent frames bear the gate's mark: the kernel drops them too when the deadline has passed.
 */
import { closeSync } from 'node:fs';
import { errnoName, libc, type ForeignLibrary } from '../../kernel/foreign.ts';
import { etherTypeArp } from './arp-frame.ts';
import { frameMark } from './gate-rules.ts';
import { etherTypeIpv6 } from './neighbour-frame.ts';

export interface PacketLink extends Disposable {
  /** @returns an errno name when it could not be sent */
  send(frame: Buffer): string | undefined;
  /** What has come since the last call: ARP and neighbour discovery of others. */
  receive(): readonly Buffer[];
}

export type OpenPacketLink = (interfaceIndex: number) => PacketLink;

/** Sources: Linux <linux/if_packet.h>, <linux/if_ether.h>, <asm-generic/socket.h>, <linux/net.h>. */
const afPacket = 17;
const sockRaw = 3;
const closeOnExec = 0o2000000;
const solSocket = 1;
const option = { attachFilter: 26, sendBufferForce: 32, receiveBufferForce: 33, mark: 36 };
const dontWait = 0x40;
/** For bursts of a thousand addresses: the default loses a third of one, either way. */
const bufferBytes = 4 * 1024 * 1024;
/** Neither ARP nor neighbour discovery has more. */
const frameBytes = 2048;

/** Undefined where there is no FFI. */
export function packetLinks(library: ForeignLibrary | undefined = libc()): OpenPacketLink | undefined {
  if (library === undefined) return undefined;
  const { func, errno, addressOf } = library;
  const openSocket = func('int socket(int domain, int type, int protocol)');
  const bindSocket = func('int bind(int fd, const void *address, int length)');
  const setOption = func('int setsockopt(int fd, int level, int name, const void *value, int length)');
  const sendFrame = func('long send(int fd, const void *frame, long length, int flags)');
  const receiveFrame = func('long recv(int fd, void *frame, long length, int flags)');

  const must = (what: string, result: number): number => {
    if (result >= 0) return result;
    throw new Error(`cannot open a packet socket: ${what}: ${errnoName(errno())}`);
  };
  function open(index: number, etherType: number, filter?: readonly (readonly number[])[]): number {
    // Without a protocol it hears nothing, until it is bound with one: no frame slips past the filter.
    const fd = must('socket', openSocket(afPacket, sockRaw | closeOnExec, 0));
    try {
      must('SO_MARK', setOption(fd, solSocket, option.mark, int32(frameMark), 4));
      const buffers = etherType === 0 ? option.sendBufferForce : option.receiveBufferForce;
      must('the size of its buffer', setOption(fd, solSocket, buffers, int32(bufferBytes), 4));
      if (filter !== undefined) {
        const instructions = filterBytes(filter);
        const program = Buffer.alloc(16);
        program.writeUInt16LE(filter.length, 0);
        program.writeBigUInt64LE(addressOf(instructions), 8);
        must('SO_ATTACH_FILTER', setOption(fd, solSocket, option.attachFilter, program, program.length));
      }
      must('bind', bindSocket(fd, linkAddress(index, etherType), 20));
      return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }
  const buffer = Buffer.alloc(frameBytes);
  return (index) => {
    const [out, arp] = [open(index, 0), open(index, etherTypeArp)];
    const ipv6 = open(index, etherTypeIpv6, neighbourFilter);
    return {
      send: (frame) => (sendFrame(out, frame, frame.length, dontWait) < 0 ? errnoName(errno()) : undefined),
      receive() {
        const frames: Buffer[] = [];
        for (const fd of [arp, ipv6]) {
          for (;;) {
            const length = receiveFrame(fd, buffer, frameBytes, dontWait);
            if (length < 0) break; // EAGAIN; or the interface is down, which is told only once.
            frames.push(Buffer.from(buffer.subarray(0, length)));
          }
        }
        return frames;
      },
      [Symbol.dispose]() {
        for (const fd of [out, arp, ipv6]) closeSync(fd);
      },
    };
  };
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

/** `struct sockaddr_ll`. Source: packet(7). */
function linkAddress(index: number, etherType: number): Buffer {
  const bytes = Buffer.alloc(20);
  bytes.writeUInt16LE(afPacket, 0);
  bytes.writeUInt16BE(etherType, 2);
  bytes.writeInt32LE(index, 4);
  return bytes;
}

/**
 * Of IPv6 only solicitations and advertisements (ICMPv6 135, 136): code, true, false, operand.
 * Source: Linux <linux/filter.h>; BPF_LD|BPF_B|BPF_ABS is 0x30, BPF_JMP|BPF_JEQ|BPF_K 0x15, BPF_RET|BPF_K 0x06.
 */
const neighbourFilter = [
  [0x30, 0, 0, 20],
  [0x15, 0, 4, 58],
  [0x30, 0, 0, 54],
  [0x15, 1, 0, 135],
  [0x15, 0, 1, 136],
  [0x06, 0, 0, 0xffff],
  [0x06, 0, 0, 0],
] as const;

function filterBytes(instructions: readonly (readonly number[])[]): Buffer {
  const bytes = Buffer.alloc(8 * instructions.length);
  for (const [at, [code = 0, onTrue = 0, onFalse = 0, operand = 0]] of instructions.entries()) {
    bytes.writeUInt16LE(code, at * 8);
    bytes[at * 8 + 2] = onTrue;
    bytes[at * 8 + 3] = onFalse;
    bytes.writeUInt32LE(operand, at * 8 + 4);
  }
  return bytes;
}
