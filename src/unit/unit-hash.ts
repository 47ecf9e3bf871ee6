import { createHash } from 'node:crypto';

/** Keys that say something to people, to the command line or to the graph, and nothing to the process. */
const withoutEffect = new Set(['$schema', 'about', 'groups', 'needs']);

/**
 * SHA-256 (hex, first 16 digits) of a unit's effective content: defaults filled in, variables
 * expanded, drop-ins merged. Comments, the order of keys, `about`, `groups` and the edges do not
 * change it; the order of lists does.
 */
export function unitHash(name: string, unit: Readonly<Record<string, unknown>>): string {
  const content = Object.entries(unit).filter(([key]) => !withoutEffect.has(key));
  return createHash('sha256')
    .update(canonicalJson([name, Object.fromEntries(content)]))
    .digest('hex')
    .slice(0, 16);
}

/** JSON with sorted keys. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}
