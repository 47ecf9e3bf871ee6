/** Addresses of both families as numbers, and in the one text that each of them has. Pure. */
import { isIPv6, SocketAddress } from 'node:net';
import type { AddressFamily, VipAddress } from './model.ts';

export interface IpAddress {
  readonly family: AddressFamily;
  readonly value: bigint;
}

export const bitsOf = (family: AddressFamily): number => (family === 4 ? 32 : 128);

export function parseIp(text: string): IpAddress | undefined {
  const four = ipv4Value(text);
  if (four !== undefined) return { family: 4, value: BigInt(four) };
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const groups = sixGroups(text);
  return { family: 6, value: fromParts(groups, 16n) };
}

/**
 * Of canonical text: no zero in front, no sign; undefined if it is no IPv4. A thousand are read in less time than `isIP`
 * needs to get going, and nothing is made for it.
 */
export function ipv4Value(text: string): number | undefined {
  let value = 0;
  let dots = 0;
  let part: number | undefined;
  for (let at = 0; at < text.length; at += 1) {
    const digit = text.charCodeAt(at) - zero;
    if (digit === dot - zero) {
      if (part === undefined || dots === 3) return undefined;
      value = value * 256 + part;
      part = undefined;
      dots += 1;
    } else {
      if (digit < 0 || digit > 9 || part === 0) return undefined;
      part = (part ?? 0) * 10 + digit;
      if (part > 255) return undefined;
    }
  }
  return dots === 3 && part !== undefined ? value * 256 + part : undefined;
}
const [zero, dot] = [0x30, 0x2e] as const;

export function formatIp({ family, value }: IpAddress): VipAddress {
  const size = family === 4 ? 8n : 16n;
  const count = family === 4 ? 4 : 8;
  const parts = Array.from(
    { length: count },
    (_, at) => (value >> (size * BigInt(count - 1 - at))) & ((1n << size) - 1n),
  );
  if (family === 4) return parts.join('.');
  const address = parts.map((part) => part.toString(16)).join(':');
  return new SocketAddress({ address, family: 'ipv6' }).address;
}

/** The one text of an address; undefined if it is none. */
export function canonicalIp(text: string): VipAddress | undefined {
  const address = parseIp(text);
  return address === undefined ? undefined : formatIp(address);
}

const fromParts = (parts: readonly bigint[], size: bigint): bigint =>
  parts.reduce((value, part) => (value << size) | part, 0n);

/** The eight groups of an IPv6 address that is one. */
function sixGroups(text: string): readonly bigint[] {
  const [head = '', tail] = text.split('::');
  const first = groupsOf(head);
  if (tail === undefined) return first;
  const last = groupsOf(tail);
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => 0n);
  return [...first, ...zeros, ...last];
}

function groupsOf(text: string): readonly bigint[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [BigInt(`0x${group}`)];
    // The last 32 bits may be written as IPv4.
    const value = fromParts(group.split('.').map(BigInt), 8n);
    return [value >> 16n, value & 0xffffn];
  });
}
