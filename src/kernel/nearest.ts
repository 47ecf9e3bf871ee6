import { distance } from 'fastest-levenshtein';

/** The known name nearest to `name`, or undefined when none is near enough to be what was meant. */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const difference = distance(name.toLowerCase(), candidate.toLowerCase());
    if (difference < bestDistance) {
      best = candidate;
      bestDistance = difference;
    }
  }
  return best;
}
