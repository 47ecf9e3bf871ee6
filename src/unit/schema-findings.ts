/** Turns what zod says of a unit into sentences for the person who wrote it, each with the path it is about. */
import type { z } from 'zod';
import { nearestName } from '../kernel/nearest.ts';
import type { DiagnosticCode } from './diagnostic.ts';
import { describeSchema, describeValue, keysAt, pathText, schemaAt, titleOf } from './schema-walk.ts';
import { unitSchema } from './schema.ts';
import type { Target } from './located.ts';
import type { Path } from './variables.ts';

export interface Finding {
  readonly path: Path;
  readonly target: Target;
  readonly code: DiagnosticCode;
  readonly message: string;
  readonly hint?: string | undefined;
  /** Of an unknown key: the known one that it seems to be. */
  readonly meant?: string | undefined;
}

/** @param value - what was given to the schema, to tell what was found where */
export function findingsOf(error: z.core.$ZodError, value: unknown): Finding[] {
  const findings = error.issues.flatMap((issue) => findingOf(issue, value));
  return findings.filter((finding) => !followsFromAnother(finding, findings));
}

/** A misspelt key is one mistake, although it also means that the key it should be is missing. */
function followsFromAnother({ code, path }: Finding, all: readonly Finding[]): boolean {
  if (code !== 'value' && code !== 'missing') return false;
  const where = pathText(path);
  return all.some(
    (other) =>
      other.code === 'unknown-key' &&
      (code === 'value'
        ? pathText(other.path.slice(0, -1)) === where
        : pathText([...other.path.slice(0, -1), other.meant ?? '']) === where),
  );
}

function findingOf(issue: z.core.$ZodIssue, root: unknown): Finding[] {
  const path = issue.path.map((part) => (typeof part === 'symbol' ? part.toString() : part));
  const where = pathText(path);
  const found = valueAt(root, path);
  const schema = schemaAt(unitSchema, path);
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey(path, key));
    case 'invalid_type':
    case 'invalid_union':
      if (found === undefined) {
        const message = `${where} is missing${schema === undefined ? '' : ` (${describeSchema(schema)})`}`;
        return [{ path, target: 'key', code: 'missing', message }];
      }
      return [wrongType(path, schema, found)];
    case 'invalid_value':
      if (typeof found !== 'string' || schema === undefined) return [wrongType(path, schema, found)];
      return [
        {
          path,
          target: 'value',
          code: 'value',
          message: `${where}: expected ${describeSchema(schema)}, found ${describeValue(found)}`,
          hint: didYouMean(nearestName(found, issue.values.map(String))),
        },
      ];
    case 'invalid_format':
      return [
        {
          path,
          target: 'value',
          code: 'value',
          message: `${where}: ${issue.message}, found ${describeValue(found)}`,
          hint: schema !== undefined && titleOf(schema) === 'unit name' ? unitNameHint(found) : undefined,
        },
      ];
    case 'too_small':
    case 'too_big':
      return [{ path, target: 'value', code: 'value', message: `${where}: ${sizeText(issue, found)}` }];
    case 'custom':
      return [customFinding(path, issue.message)];
    default:
      return [
        { path, target: 'value', code: 'value', message: where === '' ? issue.message : `${where}: ${issue.message}` },
      ];
  }
}

function customFinding(path: Path, message: string): Finding {
  const last = path.at(-1);
  // Messages about an option name it themselves ("maxWait does not go with a hard edge").
  const named = typeof last === 'string' && message.startsWith(last);
  return {
    path,
    target: named ? 'key' : 'value',
    code: 'value',
    message: named ? message : `${pathText(path)}: ${message}`,
  };
}

function unknownKey(parent: Path, key: string): Finding {
  const known = keysAt(unitSchema, parent).filter((name) => name !== '$schema');
  const near = nearestName(key, known);
  const place = parent.length === 0 ? '' : ` in ${pathText(parent)}`;
  const elsewhere = near === undefined ? homeOf(key) : undefined;
  return {
    path: [...parent, key],
    target: 'key',
    code: 'unknown-key',
    message: `unknown key "${key}"${place}`,
    meant: near,
    hint:
      didYouMean(near) ??
      (elsewhere === undefined ? `known keys: ${known.join(', ')}` : `"${key}" belongs in ${elsewhere}`),
  };
}

const homes: readonly Path[] = [
  [],
  ['needs', 0],
  ['ready'],
  ['health'],
  ['restart'],
  ['restart', 'backoff'],
  ['restart', 'limit'],
  ['stop'],
  ['limits'],
  ['claims'],
];

/** Where a key that stands in the wrong map belongs: "stop", "an edge of needs". */
function homeOf(key: string): string | undefined {
  const home = homes.find((path) => keysAt(unitSchema, path).includes(key));
  if (home === undefined) return undefined;
  if (home.length === 0) return 'the unit itself, not deeper';
  return home[0] === 'needs' ? 'an edge of needs' : pathText(home);
}

function wrongType(path: Path, schema: z.core.$ZodType | undefined, found: unknown): Finding {
  const expected = schema === undefined ? 'something else' : describeSchema(schema);
  return {
    path,
    target: 'value',
    code: 'type',
    message: `${path.length === 0 ? '' : `${pathText(path)}: `}expected ${expected}, found ${describeValue(found)}`,
    hint: typeHint(path, expected, found),
  };
}

function typeHint(path: Path, expected: string, found: unknown): string | undefined {
  const written = typeof found === 'number' || typeof found === 'boolean' ? String(found) : undefined;
  if (expected.startsWith('a duration') && typeof found === 'number') return `write the unit: ${String(found)}s`;
  if (expected.startsWith('text') && written !== undefined) return `put it in quotes: "${written}"`;
  if (expected.startsWith('a list of texts') && typeof found === 'string') {
    return `write a list, one word an item: [${found.split(/\s+/).slice(0, 4).join(', ')}]`;
  }
  if (expected.startsWith('a list of texts') && Array.isArray(found)) return undefined;
  if (path.length === 1 && path[0] === 'needs' && typeof found === 'object' && found !== null) {
    return 'begin each edge with a dash: `- hard: etcd`';
  }
  if (path[0] === 'needs' && path.length === 2 && typeof found === 'string')
    return `say of which kind: \`hard: ${found}\``;
  if (expected === 'a number' && typeof found === 'string' && found.trim() !== '' && !Number.isNaN(Number(found))) {
    return `take the quotes off: ${found}`;
  }
  return undefined;
}

function sizeText(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig, found: unknown): string {
  const small = issue.code === 'too_small';
  const bound = String(small ? issue.minimum : issue.maximum);
  switch (issue.origin) {
    case 'string':
      return `${small ? 'shorter' : 'longer'} than ${bound} characters`;
    case 'array':
      return small && bound === '1' ? 'the list is empty' : `needs ${small ? 'at least' : 'at most'} ${bound} items`;
    default:
      return `must be ${small ? 'at least' : 'at most'} ${bound}, found ${describeValue(found)}`;
  }
}

function unitNameHint(found: unknown): string | undefined {
  if (typeof found !== 'string') return undefined;
  const lower = found
    .toLowerCase()
    .replace(/\.yaml$/, '')
    .replaceAll('_', '-');
  return lower === found ? undefined : didYouMean(lower);
}

const didYouMean = (name: string | undefined) => (name === undefined ? undefined : `did you mean "${name}"?`);

function valueAt(root: unknown, path: Path): unknown {
  let node = root;
  for (const segment of path) {
    if (typeof node !== 'object' || node === null || !Object.hasOwn(node, segment)) return undefined;
    node = (node as Record<string | number, unknown>)[segment];
  }
  return node;
}
