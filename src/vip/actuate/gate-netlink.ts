/**
 * Changes the gate's sets by nf_tables' own netlink, through FFI: a program for it takes twenty times as long, most
 * of it until it has ended, since the kernel lets no socket of nf_tables go before it has cleared up after it.
 * So there is one socket, which stays open.
 */
import { closeSync } from 'node:fs';
import { errnoName, libc, type ForeignLibrary } from '../../kernel/foreign.ts';
import { netlinkMessages, netlinkSockets, netlinkTypes } from '../../kernel/netlink.ts';
import type { GateBatch } from './gate-messages.ts';

export interface GateNetlink {
  /** All of it or nothing. @throws an Error when the kernel has refused it, or has not said that it is done */
  change(batch: GateBatch): void;
  /** It may be asked again all the same. */
  close(): void;
}

/** NETLINK_NETFILTER. Source: Linux <linux/netlink.h>. */
const netfilterProtocol = 12;
const answerBytes = 64 * 1024;
/** SOL_SOCKET, SO_SNDBUFFORCE, which CAP_NET_ADMIN may. Source: Linux <asm-generic/socket.h>. */
const sendBuffer = { level: 1, name: 32 };
/** The least that `net.core.wmem_default` is by itself, less what the kernel takes of it. */
const usualSendBytes = 128 * 1024;

/** Undefined where there is no FFI. */
export function gateNetlink(library: ForeignLibrary | undefined = libc()): GateNetlink | undefined {
  if (library === undefined) return undefined;
  const sockets = netlinkSockets(library, answerBytes);
  let fd: number | undefined;
  /** Undefined: none has come. */
  function answersTo({ lastSequence }: GateBatch, from: number): number | undefined {
    let isDone = false;
    for (let answer = sockets.receive(from); answer !== undefined; answer = sockets.receive(from)) {
      for (const { type, sequence, body } of netlinkMessages(answer) ?? []) {
        if (type !== netlinkTypes.error || body.length < 4) continue;
        const errno = Math.abs(body.readInt32LE(0));
        if (errno !== 0) return errno;
        isDone ||= sequence === lastSequence;
      }
    }
    return isDone ? 0 : undefined;
  }
  /** One message is one batch, however many addresses it has: the kernel refuses what is larger than the buffer. */
  function makeRoom(into: number, bytes: number): void {
    // Where it is refused, so is the batch.
    if (bytes > usualSendBytes) sockets.setOption(into, sendBuffer.level, sendBuffer.name, bytes);
  }
  function close(): void {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
  }
  return {
    change(batch) {
      fd ??= sockets.open(netfilterProtocol);
      if (fd >= 0) makeRoom(fd, batch.bytes.length);
      const errno =
        fd < 0 || sockets.send(fd, batch.bytes) < 0 ? library.errno() : (answersTo(batch, fd) ?? 'no answer');
      if (errno === 0) return;
      // What may yet come of this is never taken for an answer to the next.
      if (fd < 0) fd = undefined;
      else close();
      throw new Error(`the kernel refuses the gate’s sets: ${typeof errno === 'number' ? errnoName(errno) : errno}`);
    },
    close,
  };
}
