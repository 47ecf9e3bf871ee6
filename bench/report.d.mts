import type { Summary } from './statistics.mjs';

export interface Row extends Summary {
  readonly subject: string;
  readonly measure: string;
  readonly unit: string;
  readonly goal?: number;
  /** What `node -e 0` took meanwhile, ms. */
  readonly paceMs?: number;
  /** Said in place of `others`: why nothing was measured. */
  readonly note?: string;
  readonly others?: Readonly<Record<string, number>>;
}
export function verdict(row: Row): '' | 'reached' | 'missed';
export function figure(value: number): string;
export function table(rows: readonly Row[]): string;
export function markdown(rows: readonly Row[]): string;
