/**
 * Neighbour discovery: what ARP is for IPv4, as whole Ethernet frames. Pure.
 *
 * Source: RFC 4861 §4.3, §4.4 (layout), §7.2.6 (unsolicited), RFC 4862 §5.4 (a probe is from nobody).
 */
import { bytesOf, macBytes, macText, textOf } from './ip-bytes.ts';

/** Source: IEEE EtherTypes, Linux <linux/if_ether.h>. */
export const etherTypeIpv6 = 0x86dd;
const ethernetBytes = 14;
const ipv6Bytes = 40;
const icmpAt = ethernetBytes + ipv6Bytes;
const nextHeaderIcmp = 58;
/** A router lowers it: whatever has another is from beyond the link. */
const hopLimit = 255;
const types = { solicitation: 135, advertisement: 136 } as const;
const options = { sourceMac: 1, targetMac: 2 } as const;
const overrideFlag = 0x20;
const allNodes = 'ff02::1';

export interface NeighbourFrame {
  readonly kind: 'solicitation' | 'advertisement';
  readonly senderMac: string;
  readonly senderIp: string;
  /** Whom it is about. */
  readonly target: string;
}

interface Content {
  readonly mac: string;
  readonly from: string;
  readonly to: string;
  readonly message: Buffer;
}

/** Says to all on the link that `address` is at `mac`, whatever they believed. */
export function neighbourAdvertisement(mac: string, address: string): Buffer {
  const message = Buffer.alloc(32);
  message[0] = types.advertisement;
  message[4] = overrideFlag;
  bytesOf(address).copy(message, 8);
  message[24] = options.targetMac;
  message[25] = 1;
  macBytes(mac).copy(message, 26);
  return frameOf({ mac, from: address, to: allNodes, message });
}

/**
 * Asks who has `address`. From nobody, as here, nobody learns that we want it but who has it; from
 * somebody, it says where the answer is to go.
 */
export function neighbourProbe(mac: string, address: string, from = '::'): Buffer {
  const message = Buffer.alloc(from === '::' ? 24 : 32);
  message[0] = types.solicitation;
  bytesOf(address).copy(message, 8);
  if (from !== '::') {
    message[24] = options.sourceMac;
    message[25] = 1;
    macBytes(mac).copy(message, 26);
  }
  return frameOf({ mac, from, to: solicitedNode(address), message });
}

/** The group that whoever has `address` listens to. Source: RFC 4291 §2.7.1. */
function solicitedNode(address: string): string {
  const group = bytesOf('ff02::1:ff00:0');
  bytesOf(address).copy(group, 13, 13);
  return textOf(group);
}

function frameOf({ mac, from, to, message }: Content): Buffer {
  const frame = Buffer.alloc(icmpAt + message.length);
  const [source, destination] = [bytesOf(from), bytesOf(to)];
  // A multicast group's MAC: 33:33 and its last four bytes. Source: RFC 2464 §7.
  Buffer.from([0x33, 0x33]).copy(frame, 0);
  destination.copy(frame, 2, 12);
  macBytes(mac).copy(frame, 6);
  frame.writeUInt16BE(etherTypeIpv6, 12);
  frame[14] = 0x60;
  frame.writeUInt16BE(message.length, 18);
  frame[20] = nextHeaderIcmp;
  frame[21] = hopLimit;
  source.copy(frame, 22);
  destination.copy(frame, 38);
  message.copy(frame, icmpAt);
  frame.writeUInt16BE(checksum(source, destination, message), icmpAt + 2);
  return frame;
}

/** Source: RFC 4443 §2.3, RFC 8200 §8.1. */
function checksum(source: Buffer, destination: Buffer, message: Buffer): number {
  const tail = Buffer.from([0, 0, 0, message.length, 0, 0, 0, nextHeaderIcmp]);
  let sum = 0;
  for (const part of [source, destination, tail, message]) {
    for (let at = 0; at < part.length; at += 2) sum += part.readUInt16BE(at);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Undefined of what is neither, or has come from beyond the link. */
export function parseNeighbour(frame: Buffer): NeighbourFrame | undefined {
  if (frame.length < icmpAt + 24 || frame.readUInt16BE(12) !== etherTypeIpv6) return undefined;
  if (frame[20] !== nextHeaderIcmp || frame[21] !== hopLimit) return undefined;
  const type = frame[icmpAt];
  if (type !== types.solicitation && type !== types.advertisement) return undefined;
  return {
    kind: type === types.advertisement ? 'advertisement' : 'solicitation',
    senderMac: macText(frame.subarray(6, 12)),
    senderIp: textOf(frame.subarray(22, 38)),
    target: textOf(frame.subarray(icmpAt + 8, icmpAt + 24)),
  };
}
