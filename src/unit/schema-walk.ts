/** Finding one's way in the unit schema: which keys may stand at a path, and what a value there is called. */
import * as z from 'zod';
import { edgeKinds } from './schema.ts';
import type { Path } from './variables.ts';

type Schema = z.core.$ZodTypes;

/** Takes off defaults, options and transforms: what a person writes. */
export function written(schema: z.core.$ZodType): Schema {
  let inner = schema as Schema;
  for (;;) {
    const { def } = inner._zod;
    switch (def.type) {
      case 'default':
      case 'prefault':
      case 'optional':
      case 'nonoptional':
      case 'nullable':
      case 'readonly':
      case 'catch':
        inner = def.innerType as Schema;
        break;
      case 'pipe':
        inner = def.in as Schema;
        break;
      case 'lazy':
        inner = def.getter() as Schema;
        break;
      default:
        return inner;
    }
  }
}

/** The schema of the value at `path`, or undefined when the path does not exist. */
export function schemaAt(root: z.core.$ZodType, path: Path): z.core.$ZodType | undefined {
  let schema: z.core.$ZodType | undefined = root;
  for (const segment of path) {
    if (schema === undefined) return undefined;
    const { def }: Schema['_zod'] = written(schema)._zod;
    if (def.type === 'object') schema = Object.hasOwn(def.shape, segment) ? def.shape[String(segment)] : undefined;
    else if (def.type === 'array') schema = def.element;
    else if (def.type === 'record') schema = def.valueType;
    else schema = undefined;
  }
  return schema;
}

/** Keys that may stand in the map at `path`; empty when any may. */
export function keysAt(root: z.core.$ZodType, path: Path): readonly string[] {
  const schema = schemaAt(root, path);
  if (schema === undefined) return [];
  const { def } = written(schema)._zod;
  return def.type === 'object' ? Object.keys(def.shape) : [];
}

/** The title that a schema was given with `.meta({title})`: "duration", "unit name". */
export function titleOf(schema: z.core.$ZodType): string | undefined {
  let inner = schema as Schema;
  for (;;) {
    const title = z.globalRegistry.get(inner)?.title;
    if (title !== undefined) return title;
    const { def } = inner._zod;
    if (!('innerType' in def)) return undefined;
    inner = def.innerType as Schema;
  }
}

/** What the schema wants, in words: "a list of text", "a duration like 10s". */
export function describeSchema(schema: z.core.$ZodType): string {
  const title = titleOf(schema);
  if (title === 'duration') return 'a duration like 10s';
  if (title === 'unit name') return 'a unit name';
  const { def } = written(schema)._zod;
  switch (def.type) {
    case 'string':
      return 'text';
    case 'number':
      return 'a number';
    case 'boolean':
      return 'true or false';
    case 'null':
      return 'null';
    case 'array': {
      const element = written(def.element)._zod.def.type;
      return element === 'string' ? 'a list of texts' : 'a list';
    }
    case 'object':
      return Object.hasOwn(def.shape, edgeKinds[0]) ? 'an edge, like `hard: etcd`' : 'a map';
    case 'record':
      return 'a map';
    case 'enum':
      return `one of ${Object.values(def.entries).join(', ')}`;
    case 'literal':
      return def.values.map(String).join(' or ');
    case 'union':
      return def.options.map(describeSchema).join(' or ');
    default:
      return def.type;
  }
}

/** What was found, in words: `text "2379"`, "the number 5", "a list". */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (typeof value === 'string') return `text ${JSON.stringify(value.length > 40 ? `${value.slice(0, 39)}…` : value)}`;
  if (typeof value === 'number') return `the number ${String(value)}`;
  if (typeof value === 'boolean') return String(value);
  return Array.isArray(value) ? 'a list' : 'a map';
}

/** "needs[0].maxWait" */
export function pathText(path: Path): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${String(part)}]` : text === '' ? part : `${text}.${part}`),
    '',
  );
}
