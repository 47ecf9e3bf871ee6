/** Ports and paths that two units claim: found before one of them takes it from the other. */
import path from 'node:path';
import { diagnosticAt, type Diagnostic } from '../unit/diagnostic.ts';
import type { SourcePlace, Unit } from '../unit/schema.ts';

interface Claim {
  readonly unit: Unit;
  /** Key in the unit's places, which are looked up only for a problem: that means reading its file again. */
  readonly at: string;
}

/** A claimed port: a number, or text that a variable gave ("6443", "127.0.0.1:2379"). */
const portKey = (port: number | string) => `port ${String(port).trim()}`;

export function claimProblems(units: readonly Unit[]): Diagnostic[] {
  const problems: Diagnostic[] = [];
  const claims = new Map<string, Claim>();
  const claim = (key: string, unit: Unit, at: string) => {
    const other = claims.get(key);
    if (other === undefined) {
      claims.set(key, { unit, at });
    } else {
      const message =
        other.unit === unit
          ? `${unit.name} claims ${key} twice`
          : `${unit.name} and ${other.unit.name} both claim ${key}`;
      const related = [{ message: `claimed by ${other.unit.name} here`, place: placeOf(other) }];
      problems.push(diagnosticAt(placeOf({ unit, at }), { code: 'claim', message, related }));
    }
  };
  for (const unit of units) {
    unit.claims?.ports.forEach((port, index) => claim(portKey(port), unit, `claims.ports.${String(index)}`));
    unit.claims?.paths.forEach((file, index) =>
      claim(`path ${path.normalize(file).replace(/(?<=.)\/$/, '')}`, unit, `claims.paths.${String(index)}`),
    );
  }
  return problems;
}

function placeOf({ unit, at }: Claim): SourcePlace {
  return unit.places.get(at) ?? unit.places.get('claims') ?? { file: unit.name, line: 0, column: 0 };
}
