/**
 * Addresses and interfaces as the kernel's rtnetlink has them: requests as bytes, answers as links. Pure.
 *
 * Sources: rtnetlink(7); include/uapi/linux/{netlink,rtnetlink,if_addr,if_link,if_arp}.h for the numbers.
 */
import {
  netlinkAligned as aligned,
  netlinkAttribute as attribute,
  netlinkFlags,
  netlinkHeaderBytes as headerBytes,
  netlinkMessage,
  netlinkMessages,
  netlinkTypes,
} from '../../kernel/netlink.ts';
import type { AddressFamily } from '../model.ts';
import { familyOf, macText, textOf, writeBytesOf } from './ip-bytes.ts';
import { isLinkName, type AddressChange, type Link, type LinkAddress } from './network-state.ts';

const types = { newLink: 16, getLink: 18, newAddress: 20, deleteAddress: 21, getAddress: 22 };
const { request: isRequest, interrupted, dump } = netlinkFlags;
const flags = { replace: 0x100, textFollows: 0x200, create: 0x400 };
/** AF_INET and AF_INET6. */
const families = { 4: 2, 6: 10 } as const;
const addressAttributes = { address: 1, local: 2, cacheInfo: 6, flags: 8 };
/** IFA_F_NODAD: we have asked before. IFA_F_NOPREFIXROUTE. */
const addressFlags = { noDad: 0x02, noPrefixRoute: 0x200 };
const linkAttributes = { mac: 1, name: 3, extMask: 29 };
/** RTEXT_FILTER_SKIP_STATS: nobody here counts packets. */
const skipStatistics = 0x08;
const linkFlags = { up: 0x1, lowerUp: 0x10000 };
/** ARPHRD_ETHER */
const ethernet = 1;
/** NLMSGERR_ATTR_MSG */
const errorText = 1;

const addressBytes = 8;
const linkBytes = 16;

/**
 * Adds each address, says anew how long it is valid, or takes it away. What differs between a thousand of them are
 * the address and the number, so the rest is made once.
 *
 * @param indices - of the interfaces, by their names
 */
export function changeRequests(changes: readonly NumberedChange[], indices: ReadonlyMap<string, number>): Buffer {
  const models = new Map<string, Buffer>();
  const messages = changes.map((change) => {
    const family = familyOf(change.address);
    const key = `${String(family)} ${String(change.validS)} ${change.interface}`;
    const model = models.get(key) ?? modelRequest(family, change.validS, indices.get(change.interface) ?? 0);
    models.set(key, model);
    return { change, model };
  });
  const all = Buffer.alloc(messages.reduce((length, { model }) => length + model.length, 0));
  let start = 0;
  for (const { change, model } of messages) {
    model.copy(all, start);
    all.writeUInt32LE(change.number, start + 8);
    // `IFA_LOCAL` and `IFA_ADDRESS`, the first two.
    const localAt = start + headerBytes + addressBytes + 4;
    writeBytesOf(change.address, all, localAt);
    writeBytesOf(change.address, all, localAt + all.readUInt16LE(localAt - 4));
    start += model.length;
  }
  return all;
}

export interface NumberedChange extends AddressChange {
  /** By which the kernel's complaint names it. */
  readonly number: number;
}

function modelRequest(family: AddressFamily, validS: number | undefined, index: number): Buffer {
  const bytes = Buffer.alloc(family === 4 ? 4 : 16);
  const isKept = validS !== undefined;
  const attributes = [attribute(addressAttributes.local, bytes), attribute(addressAttributes.address, bytes)];
  if (isKept) {
    // `struct ifa_cacheinfo`: never preferred, so never the source of what this machine sends by itself.
    const times = Buffer.alloc(16);
    times.writeUInt32LE(validS, 4);
    attributes.push(attribute(addressAttributes.cacheInfo, times));
    const more = addressFlags.noPrefixRoute | (family === 6 ? addressFlags.noDad : 0);
    attributes.push(attribute(addressAttributes.flags, uint32(more)));
  }
  const body = Buffer.alloc(addressBytes);
  body[0] = families[family];
  body[1] = bytes.length * 8;
  body.writeUInt32LE(index, 4);
  return request(
    isKept ? types.newAddress : types.deleteAddress,
    isRequest | (isKept ? flags.create | flags.replace : 0),
    [body, ...attributes],
  );
}

export const linksRequest = (): Buffer =>
  request(types.getLink, isRequest | dump, [
    Buffer.alloc(linkBytes),
    attribute(linkAttributes.extMask, uint32(skipStatistics)),
  ]);

export const addressesRequest = (): Buffer => request(types.getAddress, isRequest | dump, [Buffer.alloc(addressBytes)]);

const request = (type: number, requestFlags: number, parts: readonly Buffer[]): Buffer =>
  netlinkMessage({ type, flags: requestFlags, sequence: 1 }, parts);

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export type RouteMessage =
  | { readonly kind: 'link'; readonly link: Omit<Link, 'addresses'> }
  | { readonly kind: 'address'; readonly index: number; readonly own: LinkAddress }
  /** `errno` is 0 at the end of what was asked for. */
  | { readonly kind: 'end'; readonly errno: number; readonly sequence: number; readonly text: string }
  /** Something changed while it was told: what has come may lack something. */
  | { readonly kind: 'interrupted' };

/** What one datagram of the kernel says; of interfaces those of Ethernet alone. */
export function readRouteMessages(datagram: Buffer): readonly RouteMessage[] {
  const found: RouteMessage[] = [];
  for (const { type, flags: messageFlags, sequence, body } of netlinkMessages(datagram) ?? []) {
    if ((messageFlags & interrupted) !== 0) found.push({ kind: 'interrupted' });
    if (type === types.newLink) found.push(...linkOf(body));
    else if (type === types.newAddress) found.push(...addressOf(body));
    else if ((type === netlinkTypes.done || type === netlinkTypes.error) && body.length >= 4) {
      const hasText = type === netlinkTypes.error && (messageFlags & flags.textFollows) !== 0;
      const text = hasText ? attributeIn(body, 4 + headerBytes, errorText) : undefined;
      found.push({ kind: 'end', errno: Math.abs(body.readInt32LE(0)), sequence, text: stringOf(text) });
    }
  }
  return found;
}

function linkOf(body: Buffer): readonly RouteMessage[] {
  if (body.length < linkBytes || body.readUInt16LE(2) !== ethernet) return [];
  const name = stringOf(attributeIn(body, linkBytes, linkAttributes.name));
  const mac = attributeIn(body, linkBytes, linkAttributes.mac);
  if (mac?.length !== 6 || !isLinkName(name)) return [];
  const up = linkFlags.up | linkFlags.lowerUp;
  const isUp = (body.readUInt32LE(8) & up) === up;
  return [{ kind: 'link', link: { index: body.readInt32LE(4), name, mac: macText(mac), isUp } }];
}

function addressOf(body: Buffer): readonly RouteMessage[] {
  if (body.length < addressBytes) return [];
  // Of IPv6 there is no local one, unless it has a peer.
  const bytes =
    attributeIn(body, addressBytes, addressAttributes.local) ??
    attributeIn(body, addressBytes, addressAttributes.address);
  if (bytes === undefined || (bytes.length !== 4 && bytes.length !== 16)) return [];
  return [{ kind: 'address', index: body.readUInt32LE(4), own: { address: textOf(bytes), prefix: body.readUInt8(1) } }];
}

function attributeIn(bytes: Buffer, from: number, type: number): Buffer | undefined {
  for (let start = from; start + 4 <= bytes.length;) {
    const length = bytes.readUInt16LE(start);
    if (length < 4 || start + length > bytes.length) return undefined;
    if (bytes.readUInt16LE(start + 2) === type) return bytes.subarray(start + 4, start + length);
    start += aligned(length);
  }
  return undefined;
}

/** Without the zero at its end. */
const stringOf = (bytes: Buffer | undefined): string => bytes?.toString('utf8').replace(/\0.*$/s, '') ?? '';
