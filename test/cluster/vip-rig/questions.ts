/** "Who has it?", as frames from somebody who is somebody: whoever would answer for it does. */
import { arpProbe } from '../../../src/vip/actuate/arp-frame.ts';
import { bytesOf, familyOf } from '../../../src/vip/actuate/ip-bytes.ts';
import { neighbourProbe } from '../../../src/vip/actuate/neighbour-frame.ts';
import type { Place } from './vip-rig.ts';

/** Where an ARP frame has its sender's IPv4 address: behind 14 bytes of Ethernet and 14 of ARP. */
const senderIpAt = 28;

export function questionFor({ mac, ipv4, ipv6 }: Place, address: string): string {
  if (familyOf(address) === 6) return neighbourProbe(mac, address, ipv6).toString('hex');
  const frame = arpProbe(mac, address);
  bytesOf(ipv4).copy(frame, senderIpAt);
  return frame.toString('hex');
}
