/** `--budget kube-apiserver=8s,total=20s`: what a start may take, checked before it begins. Pure. */
import { StartupError } from '../error/startup-error.ts';
import { parseDurationMs } from '../kernel/duration.ts';
import { nearestName } from '../kernel/nearest.ts';
import type { FlagValues } from './flag-values.ts';

/** The whole start, in place of a unit. */
export const wholeStart = 'total';

/**
 * Milliseconds by unit, or by "total".
 *
 * @param wanted - the units of this start
 * @throws StartupError ERR_CONFIG that says what is wrong with which part
 */
export function budgetsOf(values: FlagValues, wanted: readonly string[]): ReadonlyMap<string, number> {
  const given = values['budget'];
  const parts = (Array.isArray(given) ? given : [given])
    .flatMap((value: unknown) => (typeof value === 'string' ? value.split(',') : []))
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const budgets = new Map<string, number>();
  for (const part of parts) {
    const [, name = '', text = ''] = /^([^=]+)=(.+)$/.exec(part) ?? [];
    const refuse = (problem: string, detail: Record<string, unknown> = {}) =>
      new StartupError('ERR_CONFIG', `--budget has "${part}": ${problem}`, { part, ...detail });
    if (name === '') throw refuse('write UNIT=DURATION or total=DURATION, like kube-apiserver=8s');
    if (name !== wholeStart && !wanted.includes(name)) {
      const nearest = nearestName(name, [...wanted, wholeStart]);
      const remedy = nearest === undefined ? '; `k3s-lite plan` lists all' : `; did you mean "${nearest}"?`;
      throw refuse(`this start has no unit "${name}"${remedy}`, { nearest });
    }
    const limitMs = parseDurationMs(text);
    if (limitMs === undefined) throw refuse(`"${text}" is no duration; write it with its unit, like 800ms, 8s or 2m`);
    if (budgets.has(name)) throw refuse(`${name} has a budget already`);
    budgets.set(name, limitMs);
  }
  return budgets;
}
