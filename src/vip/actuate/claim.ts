/** Who speaks for which address: what frames of others say. And our own frames, by family. Pure. */
import type { VipAddress } from '../model.ts';
import { arpAnnouncements, arpProbe, parseArp } from './arp-frame.ts';
import { familyOf } from './ip-bytes.ts';
import { neighbourAdvertisement, neighbourProbe, parseNeighbour } from './neighbour-frame.ts';

export interface Claim {
  readonly address: VipAddress;
  readonly mac: string;
  /** It has not got it yet, and asks as we do. */
  readonly isProbe: boolean;
}

/** Undefined of a frame that says nothing of the kind. */
export function claimIn(frame: Buffer): Claim | undefined {
  const arp = parseArp(frame);
  if (arp !== undefined) {
    const { senderIp, senderMac: mac, targetIp } = arp;
    return senderIp === '0.0.0.0'
      ? { address: targetIp, mac, isProbe: true }
      : { address: senderIp, mac, isProbe: false };
  }
  const neighbour = parseNeighbour(frame);
  if (neighbour === undefined) return undefined;
  const { kind, senderIp, senderMac: mac, target } = neighbour;
  if (kind === 'advertisement') return { address: target, mac, isProbe: false };
  return senderIp === '::' ? { address: target, mac, isProbe: true } : { address: senderIp, mac, isProbe: false };
}

export const announcementsOf = (mac: string, address: VipAddress): readonly Buffer[] =>
  familyOf(address) === 4 ? arpAnnouncements(mac, address) : [neighbourAdvertisement(mac, address)];

export const probeOf = (mac: string, address: VipAddress): Buffer =>
  familyOf(address) === 4 ? arpProbe(mac, address) : neighbourProbe(mac, address);
