/** Ranges of addresses, from the first to the last of one family. Pure. */
import type { AddressFamily } from '../model.ts';
import { bitsOf, formatIp, parseIp, type IpAddress } from '../ip-address.ts';

export interface IpRange {
  readonly family: AddressFamily;
  readonly first: bigint;
  readonly last: bigint;
  readonly text: string;
}

const form = 'a network like 10.1.2.0/28, a range like 10.1.2.10-10.1.2.20, or one address';

/** @throws RangeError that says what is wrong with it */
export function parseRange(text: string): IpRange {
  const wrong = (why: string) => new RangeError(`"${text}" is no range of addresses${why}: ${form}`);
  const [network, prefix, ...more] = text.split('/');
  if (prefix !== undefined) {
    const base = parseIp(network ?? '');
    if (base === undefined || more.length > 0 || !/^\d{1,3}$/.test(prefix)) throw wrong('');
    const free = bitsOf(base.family) - Number(prefix);
    if (free < 0) throw wrong(', its prefix is too long');
    const size = 1n << BigInt(free);
    if (base.value % size !== 0n) {
      const begin = formatIp({ ...base, value: base.value - (base.value % size) });
      throw wrong(`, it begins at ${begin}/${prefix}`);
    }
    return { family: base.family, first: base.value, last: base.value + size - 1n, text };
  }
  const [firstText = '', lastText = firstText, ...rest] = text.split('-');
  const [first, last] = [parseIp(firstText), parseIp(lastText)];
  if (first === undefined || last === undefined || rest.length > 0) throw wrong('');
  if (first.family !== last.family) throw wrong(', its ends are of two families');
  if (last.value < first.value) throw wrong(', it ends before it begins');
  return { family: first.family, first: first.value, last: last.value, text };
}

export const inRange = ({ family, first, last }: IpRange, address: IpAddress): boolean =>
  family === address.family && first <= address.value && address.value <= last;

export const rangesOverlap = (a: IpRange, b: IpRange): boolean =>
  a.family === b.family && a.first <= b.last && b.first <= a.last;
