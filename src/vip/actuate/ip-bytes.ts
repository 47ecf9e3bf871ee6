/** IP addresses as the bytes that frames, rules and comparisons of prefixes need. Pure. */
import { isIP } from 'node:net';
import type { AddressFamily, VipAddress } from '../model.ts';

/** @throws an Error when it is no IP address */
export function familyOf(address: string): AddressFamily {
  const family = isIP(address);
  if (family === 4 || family === 6) return family;
  throw new Error(`not an IP address: ${address}`);
}

/** 4 or 16 bytes in network order. @throws an Error when it is no IP address */
export function bytesOf(address: string): Buffer {
  if (familyOf(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = address.split('::');
  const before = groupsOf(head);
  const after = groupsOf(tail ?? '');
  const missing = tail === undefined ? 0 : 16 - before.length - after.length;
  return Buffer.from([...before, ...new Array<number>(missing).fill(0), ...after]);
}

function groupsOf(text: string): readonly number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

/** The canonical text of 4 or 16 bytes. Source of IPv6: RFC 5952, which the URL standard follows. */
export function textOf(bytes: Buffer): VipAddress {
  if (bytes.length === 4) return [...bytes].join('.');
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(at * 2).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/** Whether `address` lies in the network of `other`/`prefix`. */
export function isInPrefix(address: string, other: string, prefix: number): boolean {
  if (familyOf(address) !== familyOf(other)) return false;
  const [one, two] = [bytesOf(address), bytesOf(other)];
  const whole = prefix >> 3;
  if (!one.subarray(0, whole).equals(two.subarray(0, whole))) return false;
  const shift = 8 - (prefix & 7);
  return shift === 8 || (one[whole] ?? 0) >> shift === (two[whole] ?? 0) >> shift;
}

/** Six bytes of "02:00:00:00:00:01". */
export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.split(':').map((part) => Number.parseInt(part, 16)));
}

export function macText(bytes: Buffer): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
