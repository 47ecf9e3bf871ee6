/** IP addresses as the bytes that frames, rules and comparisons of prefixes need. Pure. */
import { isIPv6 } from 'node:net';
import { bitsOf, formatIp, ipv4Value, parseIp, type IpAddress } from '../ip-address.ts';
import type { AddressFamily, VipAddress } from '../model.ts';

/** @throws an Error when it is no IP address */
export function familyOf(address: string): AddressFamily {
  if (ipv4Value(address) !== undefined) return 4;
  if (isIPv6(address)) return 6;
  throw notAnAddress(address);
}

/** 4 or 16 bytes in network order. @throws an Error when it is no IP address */
export function bytesOf(address: string): Buffer {
  const four = ipv4Value(address);
  if (four !== undefined) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(four);
    return bytes;
  }
  const parsed = parseIp(address);
  if (parsed === undefined) throw notAnAddress(address);
  return Buffer.from(parsed.value.toString(16).padStart(bitsOf(parsed.family) / 4, '0'), 'hex');
}

/** Of a thousand addresses a buffer for each would cost more than all that is done with them. */
export function writeBytesOf(address: string, into: Buffer, at: number): void {
  const four = ipv4Value(address);
  if (four === undefined) bytesOf(address).copy(into, at);
  else into.writeUInt32BE(four, at);
}

/** The canonical text of 4 or 16 bytes. */
export function textOf(bytes: Buffer): VipAddress {
  if (bytes.length === 4) return `${String(bytes[0])}.${String(bytes[1])}.${String(bytes[2])}.${String(bytes[3])}`;
  return formatIp({ family: 6, value: BigInt(`0x${bytes.toString('hex')}`) });
}

/** Whether `one` lies in the network of `other`/`prefix`. */
export const isIpInPrefix = (one: IpAddress, other: IpAddress, prefix: number): boolean =>
  one.family === other.family && (one.value ^ other.value) >> BigInt(bitsOf(one.family) - prefix) === 0n;

const notAnAddress = (address: string): Error => new Error(`not an IP address: ${address}`);

/** Six bytes of "02:00:00:00:00:01". */
export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.split(':').map((part) => Number.parseInt(part, 16)));
}

export function macText(bytes: Buffer): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
