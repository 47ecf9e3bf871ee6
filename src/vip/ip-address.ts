/** Addresses of both families as numbers, and in the one text that each of them has. Pure. */
import { isIP, SocketAddress } from 'node:net';
import type { AddressFamily, VipAddress } from './model.ts';

export interface IpAddress {
  readonly family: AddressFamily;
  readonly value: bigint;
}

export const bitsOf = (family: AddressFamily): number => (family === 4 ? 32 : 128);

export function parseIp(text: string): IpAddress | undefined {
  const family = isIP(text);
  if (family === 4) return { family, value: fromParts(text.split('.').map(BigInt), 8n) };
  if (family !== 6 || text.includes('%')) return undefined;
  const groups = sixGroups(text);
  return { family, value: fromParts(groups, 16n) };
}

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
