/** IP addresses as the bytes that frames, rules and comparisons of prefixes need. Pure. */
import { isIP } from 'node:net';
import { bitsOf, formatIp, parseIp, type IpAddress } from '../ip-address.ts';
import type { AddressFamily, VipAddress } from '../model.ts';

/** @throws an Error when it is no IP address */
export function familyOf(address: string): AddressFamily {
  const family = isIP(address);
  if (family === 4 || family === 6) return family;
  throw new Error(`not an IP address: ${address}`);
}

/** 4 or 16 bytes in network order. @throws an Error when it is no IP address */
export function bytesOf(address: string): Buffer {
  const { family, value } = numberOf(address);
  return Buffer.from(value.toString(16).padStart(bitsOf(family) / 4, '0'), 'hex');
}

/** The canonical text of 4 or 16 bytes. */
export function textOf(bytes: Buffer): VipAddress {
  return formatIp({ family: bytes.length === 4 ? 4 : 6, value: BigInt(`0x${bytes.toString('hex')}`) });
}

/** Whether `address` lies in the network of `other`/`prefix`. */
export function isInPrefix(address: string, other: string, prefix: number): boolean {
  const [one, two] = [numberOf(address), numberOf(other)];
  return one.family === two.family && (one.value ^ two.value) >> BigInt(bitsOf(one.family) - prefix) === 0n;
}

function numberOf(address: string): IpAddress {
  const parsed = parseIp(address);
  if (parsed === undefined) throw new Error(`not an IP address: ${address}`);
  return parsed;
}

/** Six bytes of "02:00:00:00:00:01". */
export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.split(':').map((part) => Number.parseInt(part, 16)));
}

export function macText(bytes: Buffer): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
