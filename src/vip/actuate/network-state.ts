/** Interfaces and addresses as `ip -json address show` tells them, where an address of ours belongs, and `ip`'s commands. */
import * as z from 'zod';
import { parseJson } from '../../kernel/json.ts';
import type { VipAddress } from '../model.ts';
import { parseIp } from '../ip-address.ts';
import { familyOf, isIpInPrefix } from './ip-bytes.ts';

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
export const isLinkName = (name: string): boolean => /^[^\s/":*{}]{1,15}$/.test(name);
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
    if (type !== 'ether' || mac === undefined || !isLinkName(ifname)) return [];
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
    link.addresses.flatMap(({ address, prefix }) => {
      const ip = prefix < hostPrefix(address) ? parseIp(address) : undefined;
      return ip === undefined ? [] : [{ link, ip, prefix }];
    }),
  );
  networks.sort((one, other) => Number(other.link.isUp) - Number(one.link.isUp) || other.prefix - one.prefix);
  return (address) => {
    const ip = parseIp(address);
    return ip === undefined ? undefined : networks.find((one) => isIpInPrefix(ip, one.ip, one.prefix))?.link;
  };
}

/** Finds the interface that has an address as its own, whatever its network; of several the first. */
export function holderFinder(links: readonly Link[]): (address: VipAddress) => Link | undefined {
  const holders = new Map<string, Link>();
  for (const link of links.toReversed()) for (const { address } of link.addresses) holders.set(address, link);
  return (address) => holders.get(address);
}

export interface Placed {
  readonly address: VipAddress;
  readonly interface: string;
}

export interface AddressChange extends Placed {
  /** How long it is there from now on, in whole seconds; undefined: it is taken away. */
  readonly validS: number | undefined;
}

/**
 * A line for `ip -batch`. `preferred_lft 0`: never the source of what this machine sends by itself. It
 * runs out when nobody says it again: the second dead man's switch, which also clears up.
 * `nodad`: we have asked before.
 */
export function changeLine({ address, interface: name, validS }: AddressChange): string {
  const prefixed = `${address}/${String(hostPrefix(address))} dev ${name}`;
  if (validS === undefined) return `address delete ${prefixed}`;
  const noDad = familyOf(address) === 6 ? ' nodad' : '';
  return `address replace ${prefixed} valid_lft ${String(validS)} preferred_lft 0 noprefixroute${noDad}`;
}
