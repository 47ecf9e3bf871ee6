/**
 * Asks and changes the kernel's addresses by rtnetlink, through FFI: many in one message, and no program for
 * it. `ip` takes one round trip for each address, and its JSON of a thousand is parsed for longer than the
 * kernel needs to tell them.
 *
 * Each call is a socket of its own, so that no answer of an earlier one is ever taken for the next's. The kernel
 * has done all when `send` is back; a long list is sent in pieces, with the event loop's turns between them.
 */
import { closeSync } from 'node:fs';
import type { Clock } from '../../kernel/clock.ts';
import { errnoName, libc, type ForeignLibrary } from '../../kernel/foreign.ts';
import { netlinkSockets } from '../../kernel/netlink.ts';
import type { AddressChange, Link, LinkAddress } from './network-state.ts';
import {
  addressesRequest,
  changeRequests,
  linksRequest,
  readRouteMessages,
  type RouteMessage,
} from './route-messages.ts';

export interface RouteNetlink {
  /** @throws an Error when the kernel does not tell them */
  links(): readonly Link[];
  /** Makes every change, whichever fail. @returns the first complaint; empty when all is done */
  change(changes: readonly AddressChange[]): Promise<string>;
}

/** Sources: Linux <linux/netlink.h>, <asm-generic/socket.h>. */
const routeProtocol = 0;
const solNetlink = 270;
/** NETLINK_CAP_ACK: a complaint without what it is about. NETLINK_EXT_ACK: with a text. */
const wordyComplaints = [10, 11];
/** The kernel sends no more at once. Source: `netlink_dump`, at most 32 KiB. */
const answerBytes = 64 * 1024;
/** 2 ms of the kernel's time, and as many complaints as a socket's buffer holds. */
const together = 128;
/** Addresses came or went while they were told. */
const dumpTries = 10;

type Messages = readonly RouteMessage[];

/** Undefined where there is no FFI. */
export function routeNetlink(
  clock: Pick<Clock, 'soon'>,
  library: ForeignLibrary | undefined = libc(),
): RouteNetlink | undefined {
  if (library === undefined) return undefined;
  const { func, errno } = library;
  const sockets = netlinkSockets(library, answerBytes);
  const indexOf = func('unsigned int if_nametoindex(const char *name)');

  const must = (what: string, result: number): number => {
    if (result >= 0) return result;
    throw new Error(`the kernel’s addresses cannot be reached: ${what}: ${errnoName(errno())}`);
  };
  function withSocket<T>(use: (fd: number) => T): T {
    const fd = must('socket', sockets.open(routeProtocol));
    try {
      // A kernel that does not know them complains in numbers.
      for (const option of wordyComplaints) sockets.setOption(fd, solNetlink, option, 1);
      return use(fd);
    } finally {
      closeSync(fd);
    }
  }
  /** Undefined: there is no more. */
  function next(fd: number): Messages | undefined {
    const answer = sockets.receive(fd);
    return answer === undefined ? undefined : readRouteMessages(answer);
  }
  /** Undefined: something changed meanwhile. */
  function dumpOnce(fd: number, request: Buffer): Messages | undefined {
    must('send', sockets.send(fd, request));
    const found: RouteMessage[] = [];
    for (;;) {
      const messages = next(fd);
      if (messages === undefined) throw new Error(`the kernel does not tell its addresses: ${errnoName(errno())}`);
      found.push(...messages);
      const end = messages.find((message) => message.kind === 'end');
      if (end === undefined) continue;
      if (end.errno !== 0) throw new Error(`the kernel does not tell its addresses: ${complaintOf(end)}`);
      return found.some(({ kind }) => kind === 'interrupted') ? undefined : found;
    }
  }
  function dump(request: Buffer): Messages {
    for (let tries = 0; tries < dumpTries; tries += 1) {
      const found = withSocket((fd) => dumpOnce(fd, request));
      if (found !== undefined) return found;
    }
    throw new Error('the kernel’s addresses change faster than they can be read');
  }
  function changeSome(changes: readonly AddressChange[]): string {
    const complaints: string[] = [];
    const indices = new Map(
      [...new Set(changes.map((change) => change.interface))].map((name) => [name, indexOf(name)]),
    );
    for (const [name, index] of indices) if (index === 0) complaints.push(`there is no interface ${name}`);
    const numbered = changes
      .map((change, number) => ({ ...change, number }))
      .filter((change) => indices.get(change.interface) !== 0);
    if (numbered.length === 0) return complaints[0] ?? '';
    return withSocket((fd) => {
      const all = changeRequests(numbered, indices);
      must('send', sockets.send(fd, all));
      for (let told = next(fd); told !== undefined; told = next(fd)) {
        for (const message of told) {
          if (message.kind !== 'end' || message.errno === 0) continue;
          complaints.push(`${changes[message.sequence]?.address ?? 'an address'}: ${complaintOf(message)}`);
        }
      }
      return complaints[0] ?? '';
    });
  }
  return {
    links: () => linksOf(dump(linksRequest()), dump(addressesRequest())),
    async change(changes) {
      let complaint = '';
      for (let from = 0; from < changes.length; from += together) {
        if (from > 0) await new Promise<void>((resolve) => void clock.soon(resolve));
        complaint ||= changeSome(changes.slice(from, from + together));
      }
      return complaint;
    },
  };
}

const complaintOf = ({ errno, text }: RouteMessage & { kind: 'end' }): string => text || errnoName(errno);

function linksOf(links: Messages, addresses: Messages): readonly Link[] {
  const byIndex = new Map<number, LinkAddress[]>();
  for (const message of addresses) {
    if (message.kind !== 'address') continue;
    const own = byIndex.get(message.index) ?? [];
    own.push(message.own);
    byIndex.set(message.index, own);
  }
  return links.flatMap((message) =>
    message.kind === 'link' ? [{ ...message.link, addresses: byIndex.get(message.link.index) ?? [] }] : [],
  );
}
