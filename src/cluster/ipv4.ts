/** IPv4 addresses and networks as numbers. Pure; only what settings and services need. */

export interface Network {
  /** First address, as a 32-bit number. */
  readonly base: number;
  /** Length of the prefix, 0 to 32. */
  readonly prefix: number;
}

export function parseAddress(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    value = value * 256 + Number(part);
  }
  return value;
}

export function formatAddress(value: number): string {
  return [24, 16, 8, 0].map((shift) => String(Math.floor(value / 2 ** shift) % 256)).join('.');
}

/** A network like 10.42.0.0/16; undefined when it is not one, or when bits are set behind the prefix. */
export function parseNetwork(text: string): Network | undefined {
  const [address, prefixText, ...rest] = text.split('/');
  const base = parseAddress(address ?? '');
  if (base === undefined || rest.length > 0 || prefixText === undefined) return undefined;
  if (!/^\d{1,2}$/.test(prefixText) || Number(prefixText) > 32) return undefined;
  const prefix = Number(prefixText);
  return base % sizeOf(prefix) === 0 ? { base, prefix } : undefined;
}

const sizeOf = (prefix: number): number => 2 ** (32 - prefix);

export function contains(network: Network, address: number): boolean {
  return address >= network.base && address < network.base + sizeOf(network.prefix);
}

export function overlaps(a: Network, b: Network): boolean {
  return contains(a, b.base) || contains(b, a.base);
}

/** Address number `index` of a network; undefined when it lies outside. */
export function addressAt(network: Network, index: number): string | undefined {
  return index < sizeOf(network.prefix) ? formatAddress(network.base + index) : undefined;
}
