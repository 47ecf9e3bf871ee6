/**
 * Where each key of a unit was written, found out when somebody asks: positions need the syntax
 * tree, and a start without mistakes needs no positions.
 */
import type { Merged } from './layers.ts';
import type { SourcePlace } from './schema.ts';
import type { SourceText } from './source-text.ts';
import type { Path } from './variables.ts';

export function unitPlaces(base: SourceText, merged: Merged): ReadonlyMap<string, SourcePlace> {
  let made: ReadonlyMap<string, SourcePlace> | undefined;
  const places = () => (made ??= allPlaces(base, merged));
  return {
    get size() {
      return places().size;
    },
    get: (key) => places().get(key),
    has: (key) => places().has(key),
    forEach(visit, thisArg) {
      places().forEach(visit, thisArg);
    },
    entries: () => places().entries(),
    keys: () => places().keys(),
    values: () => places().values(),
    [Symbol.iterator]: () => places()[Symbol.iterator](),
  };
}

function allPlaces(base: SourceText, merged: Merged): Map<string, SourcePlace> {
  const places = new Map<string, SourcePlace>([['', base.find([], 'key')]]);
  const sources = new Set([base]);
  const visit = (value: unknown, path: Path) => {
    if (path.length > 0) {
      const origin = merged.locate(path);
      sources.add(origin.source);
      places.set(path.join('.'), origin.source.find(origin.path, 'key'));
    }
    if (typeof value !== 'object' || value === null) return;
    for (const [key, item] of Object.entries(value)) visit(item, [...path, Array.isArray(value) ? Number(key) : key]);
  };
  visit(merged.value, []);
  for (const source of sources) source.forget();
  return places;
}
