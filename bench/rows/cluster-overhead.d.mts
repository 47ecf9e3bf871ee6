export function overheadOf(
  result: { readonly At: Readonly<Record<string, number>> },
  stamps: ReadonlyMap<string, { readonly start: number }>,
): {
  units: string[];
  selfMs: number;
  overheadMs: number;
  beforeMs: number;
  betweenMs: number;
  afterMs: number;
  share: number;
};
