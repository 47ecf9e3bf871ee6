/**
 * Graphs for tests in a few characters: `fakeGraph('api -> hard db, soft cache maxWait=2s; db; cache')`.
 *
 * No files, no variables, no diagnostics: those are the unit and graph rooms' business and tests.
 */
import type { UnitGraph } from '../../src/graph/unit-graph.ts';
import { parseDurationMs } from '../../src/kernel/duration.ts';
import { unitSchema, type Need, type Unit } from '../../src/unit/schema.ts';

/** What a test changes in a unit; the rest is as in a unit file that says nothing more than `run`. */
export type UnitChange = Partial<Omit<Unit, 'name' | 'restart' | 'stop'>> & {
  readonly restart?: Partial<Unit['restart']>;
  readonly stop?: Partial<Unit['stop']>;
};

// Parsed once: a simulation makes hundreds of thousands of units.
const plain = unitSchema.parse({ about: '', run: ['program'] });

/** A unit with the schema's defaults, and `change` on top of them. */
export function fakeUnit(name: string, change: UnitChange = {}): Unit {
  return {
    ...plain,
    ...change,
    name,
    about: change.about ?? name,
    hash: '0'.repeat(16),
    places: new Map(),
    restart: { ...plain.restart, ...change.restart },
    stop: { ...plain.stop, ...change.stop },
  };
}

/**
 * @param notation - units separated by `;` or newlines, each `name` or `name -> edge, edge…`; an edge
 *   is its kind, the target and `key=value` options (`until`, `onLoss`, `maxWait`). A unit that is
 *   only a target exists too.
 * @throws an Error that quotes what it does not understand
 */
export function fakeGraph(notation: string, changes: Readonly<Record<string, UnitChange>> = {}): UnitGraph {
  const needs = new Map<string, Need[]>();
  for (const line of notation.split(/[;\n]/)) {
    const [head = '', edges = ''] = line.split('->').map((part) => part.trim());
    if (head === '') continue;
    const own = edges === '' ? [] : edges.split(',').map(parseEdge);
    needs.set(head, [...(needs.get(head) ?? []), ...own]);
  }
  for (const { unit } of [...needs.values()].flat()) if (!needs.has(unit)) needs.set(unit, []);
  return graphOfUnits([...needs].map(([name, own]) => fakeUnit(name, { needs: own, ...changes[name] })));
}

function parseEdge(text: string): Need {
  const [kind = '', unit = '', ...options] = text.trim().split(/\s+/);
  const option = (key: string) => options.find((part) => part.startsWith(`${key}=`))?.slice(key.length + 1);
  switch (kind) {
    case 'hard':
      return {
        kind,
        unit,
        until: option('until') === 'started' ? 'started' : 'ready',
        onLoss: (option('onLoss') ?? 'keep') as 'keep' | 'restart' | 'stop',
      };
    case 'soft':
      return { kind, unit, maxWaitMs: parseDurationMs(option('maxWait') ?? '10s') ?? Number.NaN };
    case 'parallel':
      return { kind, unit };
    default:
      throw new Error(`"${text.trim()}" is not an edge`);
  }
}

/**
 * The graph of `units`, by the plainest means: small enough to be seen right.
 *
 * @throws an Error when hard and soft edges make a cycle
 */
export function graphOfUnits(units: readonly Unit[]): UnitGraph {
  const byName = new Map(units.map((unit) => [unit.name, unit]));
  const waitsFor = ({ needs }: Unit) => needs.filter(({ kind }) => kind !== 'parallel');
  const dependents = new Map(units.map(({ name }) => [name, [] as { unit: string; need: Need }[]]));
  for (const unit of units) for (const need of unit.needs) dependents.get(need.unit)?.push({ unit: unit.name, need });

  const unitNamed = (name: string): Unit => {
    const unit = byName.get(name);
    if (unit === undefined) throw new Error(`there is no unit "${name}"`);
    return unit;
  };

  const levelOf = new Map<string, number>();
  const findLevel = (name: string, above: readonly string[]): number => {
    const known = levelOf.get(name);
    if (known !== undefined) return known;
    if (above.includes(name)) throw new Error(`cycle: ${[...above, name].join(' -> ')}`);
    const levels = waitsFor(unitNamed(name)).map((need) => findLevel(need.unit, [...above, name]) + 1);
    const level = Math.max(0, ...levels);
    levelOf.set(name, level);
    return level;
  };
  for (const { name } of units) findLevel(name, []);
  const order = units.map(({ name }) => name).sort((a, b) => (levelOf.get(a) ?? 0) - (levelOf.get(b) ?? 0));

  const tails = new Map<string, number>();
  const tailMs = (name: string): number => {
    const known = tails.get(name);
    if (known !== undefined) return known;
    const waiting = (dependents.get(name) ?? []).filter(({ need }) => need.kind !== 'parallel');
    const tail = 1 + Math.max(0, ...waiting.map(({ unit }) => tailMs(unit)));
    tails.set(name, tail);
    return tail;
  };

  const levels: string[][] = [];
  for (const name of order) (levels[levelOf.get(name) ?? 0] ??= []).push(name);

  return {
    order,
    levels,
    unit: unitNamed,
    has: (name) => byName.has(name),
    needs: (name) => unitNamed(name).needs,
    dependents: (name) => dependents.get(name) ?? [],
    closure(names) {
      const found = new Set<string>();
      const queue = [...names];
      for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
        if (found.has(name)) continue;
        found.add(name);
        queue.push(...unitNamed(name).needs.map((need) => need.unit));
      }
      return order.filter((name) => found.has(name));
    },
    stopsAfter: (name) =>
      (dependents.get(name) ?? []).filter(({ need }) => need.kind !== 'parallel').map(({ unit }) => unit),
    tailMs,
  };
}
