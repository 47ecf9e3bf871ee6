import type { Unit } from '../unit/schema.ts';

/** The flags of a unit as words: `--name=value`; null leaves one out. */
export function flagWords(flags: Unit['flags']): readonly string[] {
  return Object.entries(flags).flatMap(([name, value]) => (value === null ? [] : [`--${name}=${value}`]));
}
