/** The edges of one unit, checked one by one: does the target exist, is it disabled, is it named twice. */
import { nearestName } from '../kernel/nearest.ts';
import { diagnosticAt, type Diagnostic } from '../unit/diagnostic.ts';
import type { Need, SourcePlace, Unit } from '../unit/schema.ts';

/** Where edge number `index` of `unit` is written. */
export function edgePlace(unit: Unit, index: number): SourcePlace {
  return (
    unit.places.get(`needs.${String(index)}`) ??
    unit.places.get('needs') ??
    unit.places.get('') ?? { file: unit.name, line: 0, column: 0 }
  );
}

/** Where the edge of `unit` to `target` is written. */
export function placeOfEdgeTo(unit: Unit, target: string): SourcePlace {
  return edgePlace(
    unit,
    unit.needs.findIndex((need) => need.unit === target),
  );
}

/**
 * The edges that stay: a soft or parallel edge to a disabled unit is dropped, since the unit does
 * without it anyway; a hard one is an error.
 */
export function checkedNeeds(
  unit: Unit,
  byName: ReadonlyMap<string, Unit>,
  disabled: ReadonlyMap<string, string>,
  report: (problem: Diagnostic) => void,
): readonly Need[] {
  const first = new Map<string, number>();
  return unit.needs.filter((need, index) => {
    const earlier = first.get(need.unit);
    if (earlier !== undefined) {
      const message = `${unit.name} has a second edge to "${need.unit}"`;
      const related = [{ message: 'the first is here', place: edgePlace(unit, earlier) }];
      report(diagnosticAt(edgePlace(unit, index), { code: 'duplicate-edge', message, related }));
      return false;
    }
    first.set(need.unit, index);
    if (byName.has(need.unit)) return true;
    const by = disabled.get(need.unit);
    if (by === undefined) {
      const near = nearestName(need.unit, byName.keys());
      const message = `${unit.name} needs an unknown unit "${need.unit}"`;
      const hint = near === undefined ? undefined : `did you mean "${near}"?`;
      report(diagnosticAt(edgePlace(unit, index), { code: 'unknown-unit', message, hint }));
    } else if (need.kind === 'hard') {
      const how = by === need.unit ? 'is disabled' : `is disabled (by "${by}")`;
      const message = `${unit.name} needs "${need.unit}", which ${how}`;
      const hint = `disable ${unit.name} too, or make the edge soft`;
      report(diagnosticAt(edgePlace(unit, index), { code: 'disabled-unit', message, hint }));
    }
    return false;
  });
}
