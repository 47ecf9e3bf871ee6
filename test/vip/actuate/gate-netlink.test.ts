/** The kernel's answers to a batch, as a C library that is none gives them. On a real kernel: test/cluster/vip-actuator.test.ts. */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { constants, devNull } from 'node:os';
import { afterEach, describe, expect, test } from 'vitest';
import type { ForeignLibrary } from '../../../src/kernel/foreign.ts';
import { gateNetlink, type GateNetlink } from '../../../src/vip/actuate/gate-netlink.ts';

const { EAGAIN, EINVAL, EMSGSIZE, ENOENT, EPERM } = constants.errno;

/** NLMSG_ERROR, which is an acknowledgement when it is of nothing, and the header that it is about. */
function answerTo(sequence: number, errno = 0): Buffer {
  const bytes = Buffer.alloc(36);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(2, 4);
  bytes.writeUInt32LE(sequence, 8);
  bytes.writeInt32LE(-errno, 16);
  return bytes;
}

/** What the kernel does with one batch: datagrams that answer it, or why it does not take it. */
type Deed = readonly Buffer[] | { readonly socketFails: number } | { readonly sendFails: number };

/** Descriptors are real, since they are closed for real. */
function kernelOf(deeds: readonly Deed[]) {
  const waiting = new Map<number, Buffer[]>();
  const opened: number[] = [];
  const calls: (readonly [string, ...unknown[]])[] = [];
  let [batches, errno] = [0, 0];
  const fail = (why: number) => {
    errno = why;
    return -1;
  };
  const functions: Readonly<Record<string, (...args: readonly unknown[]) => number>> = {
    socket(...args) {
      calls.push(['socket', ...args]);
      const deed = deeds[batches];
      if (deed !== undefined && 'socketFails' in deed) {
        batches += 1;
        return fail(deed.socketFails);
      }
      const fd = openSync(devNull, 'r');
      opened.push(fd);
      waiting.set(fd, []);
      return fd;
    },
    send(fd, message, length) {
      const bytes = message as Buffer;
      calls.push(['send', bytes.subarray(0, length as number).toString()]);
      const deed = deeds[batches] ?? [];
      batches += 1;
      if ('sendFails' in deed) return fail(deed.sendFails);
      if (!('socketFails' in deed)) waiting.get(fd as number)?.push(...deed);
      return bytes.length;
    },
    setsockopt(_fd, level, name, value, length) {
      calls.push(['setsockopt', level, name, (value as Buffer).readInt32LE(), length]);
      return 0;
    },
    recv(fd, into, length, flags) {
      // MSG_DONTWAIT: the kernel has answered when it has taken the batch.
      expect(flags).toBe(0x40);
      const datagram = waiting.get(fd as number)?.shift();
      if (datagram === undefined) return fail(EAGAIN);
      return datagram.copy(into as Buffer, 0, 0, length as number);
    },
  };
  const library: ForeignLibrary = {
    func(prototype) {
      const found = functions[/(\w+)\(/.exec(prototype)?.[1] ?? ''];
      if (found === undefined) throw new Error(`there is no ${prototype}`);
      return found;
    },
    addressOf: () => 0n,
    errno: () => errno,
  };
  const netlink = gateNetlink(library);
  if (netlink === undefined) throw new Error('there is a library');
  used.push(netlink);
  const isOpen = (fd = -1) => {
    try {
      return fstatSync(fd).isCharacterDevice();
    } catch {
      return false;
    }
  };
  return { netlink, calls, opened, isOpen };
}

const used: GateNetlink[] = [];
afterEach(() => {
  for (const netlink of used.splice(0)) netlink.close();
});

const batch = { bytes: Buffer.from('batch'), lastSequence: 3 };
const other = { bytes: Buffer.from('other'), lastSequence: 7 };

describe('a batch is done', () => {
  test('when its last message is acknowledged; the socket, of NETLINK_NETFILTER, stays', () => {
    const { netlink, calls, opened, isOpen } = kernelOf([[answerTo(3)], [answerTo(7)]]);
    netlink.change(batch);
    netlink.change(other);
    // AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC.
    expect(calls).toEqual([
      ['socket', 16, 0o2000003, 12],
      ['send', 'batch'],
      ['send', 'other'],
    ]);
    expect(opened.map(isOpen)).toEqual([true]);
  });

  test('also when others are acknowledged before, or in the same datagram', () => {
    const { netlink } = kernelOf([
      [answerTo(1), answerTo(2), answerTo(3)],
      [Buffer.concat([answerTo(1), answerTo(3)])],
    ]);
    netlink.change(batch);
    netlink.change(batch);
  });
});

test('a batch that is larger than the usual buffer gets one of its size before it is sent', () => {
  const [large, usual] = [Buffer.alloc(128 * 1024 + 4), Buffer.alloc(128 * 1024)];
  const { netlink, calls } = kernelOf([[answerTo(3)], [answerTo(3)]]);
  netlink.change({ bytes: usual, lastSequence: 3 });
  expect(calls.map(([name]) => name)).toEqual(['socket', 'send']);
  netlink.change({ bytes: large, lastSequence: 3 });
  // SOL_SOCKET, SO_SNDBUFFORCE.
  expect(calls.slice(2)).toEqual([
    ['setsockopt', 1, 32, large.length, 4],
    ['send', large.toString()],
  ]);
});

describe('a batch has failed', () => {
  /** Without an errno. */
  const short = Buffer.alloc(16);
  short.writeUInt32LE(short.length, 0);
  short.writeUInt16LE(2, 4);
  short.writeUInt32LE(3, 8);
  /** NLMSG_DONE */
  const done = answerTo(3);
  done.writeUInt16LE(3, 4);

  test.each<[string, string, Deed]>([
    ['its first message is refused', 'ENOENT', [answerTo(1, ENOENT)]],
    ['its last message is refused', 'EPERM', [answerTo(3, EPERM)]],
    ['the frame is refused', 'EPERM', [answerTo(0, EPERM)]],
    ['one is refused and the last one acknowledged', 'ENOENT', [answerTo(2, ENOENT), answerTo(3)]],
    ['the last one is acknowledged and one refused', 'EINVAL', [answerTo(3), answerTo(2, EINVAL)]],
    ['both come in one datagram', 'ENOENT', [Buffer.concat([answerTo(3), answerTo(2, ENOENT)])]],
    ['the errno has no name', 'errno 4000', [answerTo(3, 4000)]],
    ['it cannot be sent', 'EMSGSIZE', { sendFails: EMSGSIZE }],
    ['nobody answers', 'no answer', []],
    ['another message is acknowledged', 'no answer', [answerTo(2)]],
    ['the acknowledgement is cut', 'no answer', [answerTo(3).subarray(0, 30)]],
    [
      'the acknowledgement is cut behind others',
      'no answer',
      [Buffer.concat([answerTo(1), answerTo(3).subarray(0, 30)])],
    ],
    ['the acknowledgement says nothing', 'no answer', [short]],
    ['the answer is no acknowledgement', 'no answer', [done]],
  ])('when %s: %s; the socket is closed and the next batch has a new one', (_why, says, deed) => {
    const { netlink, calls, opened, isOpen } = kernelOf([deed, [answerTo(7)]]);
    expect(() => netlink.change(batch)).toThrow(`the kernel refuses the gate’s sets: ${says}`);
    expect(opened.map(isOpen)).toEqual([false]);
    netlink.change(other);
    expect(calls.map(([name]) => name)).toEqual(['socket', 'send', 'socket', 'send']);
    expect(isOpen(opened[1])).toBe(true);
  });

  test('when there is no socket: the next batch asks for one again', () => {
    const { netlink, calls } = kernelOf([{ socketFails: EPERM }, [answerTo(7)]]);
    expect(() => netlink.change(batch)).toThrow('the kernel refuses the gate’s sets: EPERM');
    netlink.change(other);
    expect(calls.map(([name]) => name)).toEqual(['socket', 'socket', 'send']);
  });

  test('and its late answer is none to the next, of the same number', () => {
    // What is behind a refusal is never read.
    const { netlink } = kernelOf([[answerTo(1, ENOENT), answerTo(3)], []]);
    expect(() => netlink.change(batch)).toThrow('ENOENT');
    expect(() => netlink.change(batch)).toThrow('no answer');
  });
});

test('closing it closes the socket once; it may be asked again', () => {
  const { netlink, opened, isOpen } = kernelOf([[answerTo(3)], [answerTo(7)]]);
  netlink.close();
  netlink.change(batch);
  netlink.close();
  expect(isOpen(opened[0])).toBe(false);
  // Somebody else may have got its number meanwhile.
  const reused = openSync(devNull, 'r');
  netlink.close();
  expect(isOpen(reused)).toBe(true);
  closeSync(reused);
  netlink.change(other);
  expect(opened).toHaveLength(2);
});
