/** Pools: named ranges that addresses of Services come from. Pure. */
import { nearestName } from '../../kernel/nearest.ts';
import type { AddressFamily, VipAddress } from '../model.ts';
import { formatIp, parseIp } from '../ip-address.ts';
import { inRange, parseRange, rangesOverlap, type IpRange } from './ip-range.ts';

export interface AddressPool {
  readonly name: string;
  readonly ranges: readonly IpRange[];
}

/** Of ranges that were given without a name. */
export const unnamedPool = 'default';

/** As far as one looks for a free address; a network of IPv6 has more than anybody can count. */
const mostPerRange = 65_536n;

/**
 * "NAME=10.1.2.0/28,10.1.3.5-10.1.3.9" or the ranges alone, each of which may be given several times.
 *
 * @throws RangeError that names the pool and what is wrong with it
 */
export function parsePools(flags: readonly string[]): readonly AddressPool[] {
  const pools = new Map<string, IpRange[]>();
  for (const flag of flags) {
    const [, name = unnamedPool, list = ''] = /^(?:([^=]*)=)?(.*)$/s.exec(flag) ?? [];
    if (!/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name)) {
      throw new RangeError(`"${name}" is no name of a pool: small letters, digits, - and ., as in lan=10.1.2.0/28`);
    }
    const ranges = pools.get(name) ?? [];
    pools.set(name, ranges);
    for (const text of list.split(',')) {
      const range = parseRange(text.trim());
      for (const [other, taken] of pools) {
        const same = taken.find((each) => rangesOverlap(each, range));
        if (same !== undefined) {
          throw new RangeError(
            `${range.text} of pool ${name} and ${same.text} of pool ${other} have addresses in common`,
          );
        }
      }
      ranges.push(range);
    }
  }
  return [...pools].map(([name, ranges]) => ({ name, ranges }));
}

export function poolOf(pools: readonly AddressPool[], address: VipAddress): AddressPool | undefined {
  const parsed = parseIp(address);
  return parsed && pools.find(({ ranges }) => ranges.some((range) => inRange(range, parsed)));
}

/** Finds free addresses. Nothing becomes free meanwhile: each range is walked through once, however many are taken. */
export class FreeAddresses {
  readonly #isTaken: (address: VipAddress) => boolean;
  readonly #walked = new Map<IpRange, bigint>();

  constructor(isTaken: (address: VipAddress) => boolean) {
    this.#isTaken = isTaken;
  }

  first({ ranges }: AddressPool, family: AddressFamily): VipAddress | undefined {
    for (const range of ranges) {
      if (range.family !== family) continue;
      let value = this.#walked.get(range) ?? range.first;
      for (; value <= range.last && value - range.first < mostPerRange; value++) {
        const address = formatIp({ family, value });
        if (this.#isTaken(address)) continue;
        this.#walked.set(range, value);
        return address;
      }
      this.#walked.set(range, value);
    }
    return undefined;
  }
}

/** "there is no pool "lna", did you mean lan?" */
export function noSuchPool(name: string, pools: readonly AddressPool[]): string {
  const names = pools.map((pool) => pool.name);
  const near = nearestName(name, names);
  const remedy = near === undefined ? `; there are ${names.join(', ') || 'none'}` : `, did you mean ${near}?`;
  return `there is no pool "${name}"${remedy}`;
}
