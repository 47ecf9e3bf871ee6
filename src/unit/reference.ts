/** docs/unit-reference.md from the schema: every key with its type, default, meaning and an example. */
import * as z from 'zod';
import * as prose from './reference-prose.ts';
import { examples } from './reference-examples.ts';
import { describeSchema, keysAt, schemaAt, written } from './schema-walk.ts';
import { unitSchema } from './schema.ts';
import { probeKinds } from './probe-schema.ts';
import type { Path } from './variables.ts';

export interface KeyRow {
  /** "needs[].hard" */
  readonly path: string;
  readonly key: string;
  readonly type: string;
  readonly required: boolean;
  readonly default?: string;
  readonly meaning: string;
}

interface Section {
  readonly title: string;
  readonly path: Path;
  readonly keys?: (key: string) => boolean;
}

const isProbe = (key: string) => (probeKinds as readonly string[]).includes(key);

const sections: readonly Section[] = [
  { title: 'Keys of a unit', path: [] },
  { title: 'Edges: `needs`', path: ['needs', 0] },
  { title: 'Checks: in `ready`, `health`, `all` and `any`', path: ['ready'], keys: isProbe },
  { title: 'Keys of `http`', path: ['ready', 'http'] },
  {
    title: 'Keys of `https`: those of `http`, and',
    path: ['ready', 'https'],
    keys: (key) => !keysAt(unitSchema, ['ready', 'http']).includes(key),
  },
  {
    title: 'Keys of `grpc`: those of TLS in `https`, and',
    path: ['ready', 'grpc'],
    keys: (key) => !keysAt(unitSchema, ['ready', 'https']).includes(key),
  },
  { title: 'Beside the check: `ready`', path: ['ready'], keys: (key) => !isProbe(key) },
  { title: 'Beside the check: `health`', path: ['health'], keys: (key) => !isProbe(key) },
  { title: '`restart`', path: ['restart'] },
  { title: '`restart.backoff`', path: ['restart', 'backoff'] },
  { title: '`restart.limit`', path: ['restart', 'limit'] },
  { title: '`stop`', path: ['stop'] },
  { title: '`limits`', path: ['limits'] },
  { title: '`claims`', path: ['claims'] },
];

/** The keys of each section, as data. */
export function referenceRows(): readonly { readonly title: string; readonly rows: readonly KeyRow[] }[] {
  return sections.map(({ title, path, keys = () => true }) => ({
    title,
    rows: keysAt(unitSchema, path)
      .filter((key) => key !== '$schema' && keys(key))
      .map((key) => rowOf(path, key)),
  }));
}

/** @param variables - name and meaning of the variables that unit files may use */
export function unitReference(variables: ReadonlyMap<string, string>): string {
  const parts = [
    '<!-- Made by `npm run docs` from src/unit/schema.ts; do not edit. -->\n# Unit files\n',
    prose.introduction,
    ...referenceRows().map(({ title, rows }) =>
      [`## ${title}\n`, ...(title.startsWith('Edges') ? [prose.edges] : []), table(rows)].join('\n'),
    ),
    '## Variables\n',
    prose.variablesText,
    [
      '| variable | meaning |',
      '|---|---|',
      ...[...variables].map(([name, about]) => `| \`\${${name}}\` | ${cell(about)} |`),
    ]
      .join('\n')
      .concat('\n'),
    prose.layers,
    '## Limits\n',
    prose.limitsText,
  ];
  return parts.join('\n');
}

function table(rows: readonly KeyRow[]): string {
  const lines = rows.map(({ path, key, type, required, default: value, meaning }) => {
    const name = required ? `**\`${key}\`**` : `\`${key}\``;
    const example = examples[path];
    return `| ${[
      name,
      type,
      value === undefined ? '' : `\`${value}\``,
      meaning,
      example === undefined ? '' : `\`${example}\``,
    ]
      .map(cell)
      .join(' | ')} |`;
  });
  return ['| key (bold: needed) | type | default | meaning | example |', '|---|---|---|---|---|', ...lines, ''].join(
    '\n',
  );
}

/** A bar would end the cell. */
const cell = (text: string) => text.replaceAll('|', '\\|');

function rowOf(parent: Path, key: string): KeyRow {
  const schema = schemaAt(unitSchema, [...parent, key]);
  if (schema === undefined) throw new Error(`internal error: no schema of ${key}`);
  const { text, value } = splitDefault(descriptionOf(schema));
  const fallback = value ?? defaultOf(schema);
  return {
    path: [...parent, key]
      .map((part) => (typeof part === 'number' ? '[]' : part))
      .join('.')
      .replaceAll('.[]', '[]'),
    key,
    type: describeSchema(schema),
    required: !z.safeParse(schema, undefined).success,
    ...(fallback === undefined ? {} : { default: fallback }),
    meaning: text,
  };
}

/** The description of the outermost layer that has one. */
function descriptionOf(schema: z.core.$ZodType): string {
  return (schema as z.ZodType).description ?? (written(schema) as unknown as z.ZodType).description ?? '';
}

/** "How long (default 5s)." names its default as people write it, which the parsed value does not. */
function splitDefault(text: string): { text: string; value?: string } {
  const match = / \(default ([a-z0-9.]+)\)/i.exec(text);
  return match?.[1] === undefined ? { text } : { text: text.replace(match[0], ''), value: match[1] };
}

function defaultOf(schema: z.core.$ZodType): string | undefined {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  if (def.type !== 'default') return undefined;
  const value = def.defaultValue;
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}
