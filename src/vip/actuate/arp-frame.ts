/**
 * ARP over Ethernet: the frames that we send for an IPv4 address, and what others' say. Pure.
 *
 * Source: RFC 826 (layout), RFC 5227 (probe, announcement).
 */
import { bytesOf, macBytes, macText, textOf } from './ip-bytes.ts';

/** Source: IEEE EtherTypes, Linux <linux/if_ether.h>. */
export const etherTypeArp = 0x0806;
const etherTypeIpv4 = 0x0800;
const hardwareEthernet = 1;
const arpBytes = 28;
const ethernetBytes = 14;
const operations = { request: 1, reply: 2 } as const;
const broadcast = 'ff:ff:ff:ff:ff:ff';
const nobody = '00:00:00:00:00:00';

export interface ArpFrame {
  readonly operation: 'request' | 'reply';
  readonly senderMac: string;
  readonly senderIp: string;
  readonly targetMac: string;
  readonly targetIp: string;
}

/** As a frame that everybody on the link gets. */
function broadcastFrame({ operation, senderMac, senderIp, targetMac, targetIp }: ArpFrame): Buffer {
  const frame = Buffer.alloc(ethernetBytes + arpBytes);
  macBytes(broadcast).copy(frame, 0);
  macBytes(senderMac).copy(frame, 6);
  frame.writeUInt16BE(etherTypeArp, 12);
  frame.writeUInt16BE(hardwareEthernet, 14);
  frame.writeUInt16BE(etherTypeIpv4, 16);
  frame[18] = 6;
  frame[19] = 4;
  frame.writeUInt16BE(operations[operation], 20);
  macBytes(senderMac).copy(frame, 22);
  bytesOf(senderIp).copy(frame, 28);
  macBytes(targetMac).copy(frame, 32);
  bytesOf(targetIp).copy(frame, 38);
  return frame;
}

/**
 * Both gratuitous forms. The reply's target is our own MAC: with a broadcast there, Linux ignores it
 * for as long as the neighbour's entry is locked (`locktime`, 1 s).
 */
export function arpAnnouncements(mac: string, address: string): readonly Buffer[] {
  const own = { senderMac: mac, senderIp: address, targetIp: address };
  return [
    broadcastFrame({ ...own, operation: 'request', targetMac: nobody }),
    broadcastFrame({ ...own, operation: 'reply', targetMac: mac }),
  ];
}

/** Asks who has `address` without saying that we do: nobody's table changes by it. */
export function arpProbe(mac: string, address: string): Buffer {
  return broadcastFrame({
    operation: 'request',
    senderMac: mac,
    senderIp: '0.0.0.0',
    targetMac: nobody,
    targetIp: address,
  });
}

/** Undefined of what is no ARP of IPv4 over Ethernet. */
export function parseArp(frame: Buffer): ArpFrame | undefined {
  if (frame.length < ethernetBytes + arpBytes || frame.readUInt16BE(12) !== etherTypeArp) return undefined;
  if (frame.readUInt16BE(14) !== hardwareEthernet || frame.readUInt16BE(16) !== etherTypeIpv4) return undefined;
  if (frame[18] !== 6 || frame[19] !== 4) return undefined;
  const code = frame.readUInt16BE(20);
  if (code !== operations.request && code !== operations.reply) return undefined;
  return {
    operation: code === operations.request ? 'request' : 'reply',
    senderMac: macText(frame.subarray(22, 28)),
    senderIp: textOf(frame.subarray(28, 32)),
    targetMac: macText(frame.subarray(32, 38)),
    targetIp: textOf(frame.subarray(38, 42)),
  };
}
