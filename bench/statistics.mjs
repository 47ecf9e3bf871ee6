/** Order statistics of small samples. Medians and ratios of medians, because the machine is never quite idle. */

/** @param {readonly number[]} values @param {number} q 0…1 */
export function quantile(values, q) {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = Math.floor(at);
  const high = Math.ceil(at);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

export const median = (values) => quantile(values, 0.5);

/** What a table shows of a sample. */
export function summary(values) {
  return {
    n: values.length,
    median: median(values),
    p90: quantile(values, 0.9),
    min: Math.min(...values),
    max: Math.max(...values),
  };
}

/**
 * Calls every arm once per round, in an order that turns round each time, so that a slow spell of
 * the machine falls on all of them.
 *
 * @template T
 * @param {Record<string, (round: number) => Promise<T>>} arms
 * @returns {Promise<Record<string, T[]>>}
 */
export async function interleave(arms, runs, onRound = () => undefined) {
  const names = Object.keys(arms);
  const results = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < runs; round++) {
    onRound(round);
    const shift = round % names.length;
    for (const name of [...names.slice(shift), ...names.slice(0, shift)]) results[name].push(await arms[name](round));
  }
  return results;
}
