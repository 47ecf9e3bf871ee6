/** The same unit with other content, and the hash of that. */
import type { Unit } from './schema.ts';
import { unitHash } from './unit-hash.ts';

export function changedUnit(unit: Unit, changes: Partial<Pick<Unit, 'run' | 'flags'>>): Unit {
  const { name, hash: _, places, ...content } = unit;
  const changed = { ...content, ...changes };
  return { ...changed, name, hash: unitHash(name, changed), places };
}
