/** The graph of units as the rest of the program reads it. `buildGraph` makes one. Pure. */
import type { Need, Unit } from '../unit/schema.ts';

export interface UnitGraph {
  /** All units, in start order: a unit stands after everything it waits for; longest tail first among equals. */
  readonly order: readonly string[];
  /** Units in levels: level n waits only for units of lower levels. */
  readonly levels: readonly (readonly string[])[];
  unit(name: string): Unit;
  has(name: string): boolean;
  /** What `name` needs, in the order of priority. */
  needs(name: string): readonly Need[];
  /** Units with an edge to `name`, and its kind; longest tail first. */
  dependents(name: string): readonly { readonly unit: string; readonly need: Need }[];
  /** `names` and everything they bring in (all edge kinds), in start order. */
  closure(names: Iterable<string>): readonly string[];
  /** Units that must be stopped before `name` (its hard and soft dependents). */
  stopsAfter(name: string): readonly string[];
  /** Milliseconds (from the last starts, else 1 per unit) until everything behind this unit is ready: the start priority. */
  tailMs(name: string): number;
}
