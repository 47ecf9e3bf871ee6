export interface Summary {
  readonly n: number;
  readonly median: number;
  readonly p90: number;
  readonly min: number;
  readonly max: number;
}
export function quantile(values: readonly number[], q: number): number;
export function median(values: readonly number[]): number;
export function summary(values: readonly number[]): Summary;
export function interleave<T>(
  arms: Record<string, (round: number) => Promise<T>>,
  runs: number,
  onRound?: (round: number) => void,
): Promise<Record<string, T[]>>;
