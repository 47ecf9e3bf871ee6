/** Units made in memory, for tests of the graph. */
import { buildGraph, type BuildOptions, type GraphUnits } from '../../src/graph/build-graph.ts';
import type { UnitGraph } from '../../src/graph/unit-graph.ts';
import { renderDiagnostics } from '../../src/unit/diagnostic.ts';
import { unitSchema, type SourcePlace, type Unit, type UnitInput } from '../../src/unit/schema.ts';

/** `'hard b'`, `'soft b 5s'`, `'parallel b'`, `'hard b started'` */
export type EdgeText = string;

export function unitOf(name: string, edges: readonly EdgeText[] = [], more: Partial<UnitInput> = {}): Unit {
  const needs = edges.map((text) => {
    const [kind = '', target = '', option] = text.split(' ');
    return { [kind]: target, ...(option === undefined ? {} : { [kind === 'soft' ? 'maxWait' : 'until']: option }) };
  });
  const { $schema: _, ...unit } = unitSchema.parse({ about: `Unit ${name}`, run: [name], needs, ...more });
  const places = new Map<string, SourcePlace>(
    ['', 'claims.ports.0', 'claims.paths.0'].map((key) => [key, { file: `${name}.yaml`, line: 1, column: 1 }]),
  );
  needs.forEach((need, index) => {
    const excerpt = `  - ${JSON.stringify(need)}`;
    places.set(`needs.${String(index)}`, {
      file: `${name}.yaml`,
      line: index + 2,
      column: 5,
      endColumn: excerpt.length + 1,
      excerpt,
    });
  });
  return { ...unit, name, hash: '0', places };
}

/** From `{name: edges}`. */
export const unitsOf = (edges: Readonly<Record<string, readonly EdgeText[]>>): Unit[] =>
  Object.entries(edges).map(([name, needs]) => unitOf(name, needs));

export function graphOf(units: GraphUnits, options?: BuildOptions): UnitGraph {
  const result = buildGraph(units, options);
  if (!result.ok) throw new Error(renderDiagnostics(result.error));
  return result.value;
}

/** The rendered problems; throws when there are none. */
export function problemsOf(units: GraphUnits): string {
  const result = buildGraph(units);
  if (result.ok) throw new Error('there are no problems');
  return renderDiagnostics(result.error);
}
