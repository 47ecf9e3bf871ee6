/** Interfaces and addresses as `ip -json address show` tells them, and where an address of ours belongs. */
import * as z from 'zod';
import { parseJson } from '../../kernel/json.ts';
import type { VipAddress } from '../model.ts';
import { familyOf, isInPrefix } from './ip-bytes.ts';

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly mac: string;
  readonly isUp: boolean;
  /** Without their prefix length, in canonical text. */
  readonly addresses: readonly LinkAddress[];
}

export interface LinkAddress {
  readonly address: string;
  readonly prefix: number;
}

/** Of IPv4 and IPv6: one address and no network. */
export const hostPrefix = (address: string): 32 | 128 => (familyOf(address) === 4 ? 32 : 128);

/** It goes into rules and commands as it is. Source: Linux `dev_valid_name`; "*" is nft's wildcard. */
const linkName = z.string().regex(/^[^\s/":*{}]{1,15}$/);
const answerSchema = z.array(
  z.object({
    ifindex: z.number(),
    ifname: z.string(),
    flags: z.array(z.string()).default([]),
    link_type: z.string().optional(),
    address: z.string().optional(),
    // Some versions leave an empty object in place of what they do not show.
    addr_info: z.array(z.object({ local: z.string().optional(), prefixlen: z.number().optional() })).default([]),
  }),
);

/** Those of Ethernet: others have neither ARP nor a broadcast. @throws an Error when it is no such answer */
export function parseLinks(json: string): readonly Link[] {
  const answer = answerSchema.safeParse(parseJson(json));
  if (!answer.success) throw new Error('the machine’s addresses cannot be read: ip gave no answer that we know');
  return answer.data.flatMap(({ ifindex, ifname, flags, link_type: type, address: mac, addr_info: addresses }) => {
    if (type !== 'ether' || mac === undefined || !linkName.safeParse(ifname).success) return [];
    return {
      index: ifindex,
      name: ifname,
      mac,
      isUp: flags.includes('UP') && flags.includes('LOWER_UP'),
      addresses: addresses.flatMap(({ local, prefixlen: prefix }) =>
        local === undefined || prefix === undefined ? [] : { address: local, prefix },
      ),
    };
  });
}

/** Finds the interface whose network has an address: of several one that is up, then the smallest network. */
export function linkFinder(links: readonly Link[], only?: string): (address: VipAddress) => Link | undefined {
  if (only !== undefined) return () => links.find(({ name }) => name === only);
  // Once for all: a machine may have a thousand addresses without a network.
  const networks = links.flatMap((link) =>
    link.addresses
      .filter(({ address, prefix }) => prefix < hostPrefix(address))
      .map(({ address, prefix }) => ({ link, address, prefix })),
  );
  networks.sort((one, other) => Number(other.link.isUp) - Number(one.link.isUp) || other.prefix - one.prefix);
  return (address) => networks.find((one) => isInPrefix(address, one.address, one.prefix))?.link;
}

/** Which interface has it as an address of its own, without a network. */
export function holderOf(links: readonly Link[], address: VipAddress): Link | undefined {
  return links.find((link) => link.addresses.some((own) => own.address === address));
}

export interface Placed {
  readonly address: VipAddress;
  readonly interface: string;
}

/**
 * Lines for `ip -batch`. `preferred_lft 0`: never the source of what this machine sends by itself. It
 * runs out when nobody says it again: the second dead man's switch, which also clears up.
 * `nodad`: we have asked before.
 */
export const addLine = ({ address, interface: name }: Placed, validS: number): string =>
  `address replace ${address}/${String(hostPrefix(address))} dev ${name} valid_lft ${String(validS)} preferred_lft 0 noprefixroute` +
  (familyOf(address) === 6 ? ' nodad' : '');

export const deleteLine = ({ address, interface: name }: Placed): string =>
  `address delete ${address}/${String(hostPrefix(address))} dev ${name}`;
