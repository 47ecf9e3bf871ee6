/**
 * The variable that every process started by us carries in its environment, and hands on to its
 * children: so one that left its process group and its cgroup is still known as ours.
 *
 * A program that starts a child with an emptied environment hides it; the cgroup knows it then.
 */
import type { Unit } from '../unit/schema.ts';

/** Name of the variable. */
export const markerVariable = 'K3S_LITE_RUN';

export type StopScope = Unit['stop']['scope'];

/** One run of one unit. */
export interface RunMarker {
  /** Identifies the data directory. */
  readonly marker: string;
  readonly unit: string;
  readonly generation: number;
  /** Identifies the k3s-lite that started it: generations are counted from 1 in each. */
  readonly supervisor: string;
  readonly scope: StopScope;
}

export function formatMarker({ marker, unit, generation, supervisor, scope }: RunMarker): string {
  return [marker, unit, generation, supervisor, scope].join('/');
}

export function parseMarker(text: string): RunMarker | undefined {
  const parts = text.split('/');
  const [marker, unit, generation, supervisor, scope] = parts;
  if (parts.length !== 5 || marker === undefined || unit === undefined || supervisor === undefined) return undefined;
  if (scope !== 'cgroup' && scope !== 'group' && scope !== 'process') return undefined;
  const number = Number(generation);
  return Number.isSafeInteger(number) ? { marker, unit, generation: number, supervisor, scope } : undefined;
}
