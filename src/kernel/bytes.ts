/** Amounts of memory as people write them: "64MiB", "1.5GiB", "500MB". */

const unitBytes = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 } as const;

/** Bytes of a written amount, or undefined if it is not one. A number without a unit is not one. */
export function parseBytes(text: string): number | undefined {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(B|kB|MB|GB|KiB|MiB|GiB)$/.exec(text) ?? [];
  if (amount === undefined) return undefined;
  return Math.round(Number(amount) * unitBytes[unit as keyof typeof unitBytes]);
}

/** An amount for people: "12 KiB", "64 MiB", "1.5 GiB". */
export function formatBytes(bytes: number): string {
  for (const unit of ['GiB', 'MiB', 'KiB'] as const) {
    const amount = bytes / unitBytes[unit];
    if (amount >= 1)
      return `${amount >= 10 || Number.isInteger(amount) ? amount.toFixed(0) : amount.toFixed(1)} ${unit}`;
  }
  return `${String(bytes)} B`;
}
