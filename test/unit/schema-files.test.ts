import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { unitReferencePage } from '../../src/app/unit-reference-page.ts';
import { unitJsonSchema } from '../../src/unit/json-schema.ts';
import { examples } from '../../src/unit/reference-examples.ts';
import { referenceRows } from '../../src/unit/reference.ts';
import { schemaAt } from '../../src/unit/schema-walk.ts';
import { unitSchema } from '../../src/unit/schema.ts';
import { badUnits } from './bad-units.ts';

const root = path.resolve(import.meta.dirname, '../..');
const shipped = readdirSync(path.join(root, 'units')).filter((name) => name.endsWith('.yaml'));
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const validate = new Ajv2020({ allErrors: true }).compile(JSON.parse(unitJsonSchema()) as object);

test('units/unit.schema.json is what the schema makes (else: npm run docs)', () => {
  expect(read('units/unit.schema.json')).toBe(unitJsonSchema());
});

test('docs/unit-reference.md is what the schema makes (else: npm run docs)', () => {
  expect(read('docs/unit-reference.md')).toBe(unitReferencePage());
});

test('there are shipped units', () => {
  expect(shipped.length).toBeGreaterThan(10);
});

test.each(shipped)('an independent validator accepts %s by the JSON Schema that its first line names', (name) => {
  const text = read(`units/${name}`);
  expect(text.split('\n')[0]).toBe('# yaml-language-server: $schema=./unit.schema.json');
  validate(parse(text));
  expect(validate.errors ?? []).toEqual([]);
});

test.each([
  ['an unknown key', 'about: A\nrun: [a]\nuzer: x\n'],
  ['a missing key', 'run: [a]\n'],
  ['an edge of two kinds', 'about: A\nrun: [a]\nneeds: [{hard: b, soft: c}]\n'],
  ['an edge of no kind', 'about: A\nrun: [a]\nneeds: [{until: started}]\n'],
  ['two checks', 'about: A\nrun: [a]\nready: {tcp: "a:1", notify: true}\n'],
  ['two checks deep inside', 'about: A\nrun: [a]\nready: {all: [{tcp: "a:1", notify: true}]}\n'],
  ['a number for a duration', 'about: A\nrun: [a]\nstartWithin: 5\n'],
  ['a duration without its unit', 'about: A\nrun: [a]\nstartWithin: "5"\n'],
])('the JSON Schema refuses %s', (_, text) => {
  expect(validate(parse(text))).toBe(false);
});

test('the JSON Schema accepts whatever the loader accepts of the examples for mistakes', () => {
  for (const { files } of badUnits) {
    for (const text of Object.values(files)) {
      if (typeof text !== 'string' || text.length > 10_000) continue;
      let value: unknown;
      try {
        value = parse(text, { maxAliasCount: 0, logLevel: 'silent' });
      } catch {
        continue;
      }
      if (unitSchema.safeParse(value).success) expect(validate(value)).toBe(true);
    }
  }
});

test('the reference has every key with its meaning and an example that the schema accepts', () => {
  const rows = referenceRows().flatMap((section) => section.rows);
  expect(Object.keys(examples).sort()).toEqual(rows.map((row) => row.path).sort());
  for (const row of rows) {
    expect(row.meaning, row.path).not.toBe('');
    const keys = row.path.replace('[]', '.0').split('.');
    const schema = schemaAt(
      unitSchema,
      keys.map((key) => (key === '0' ? 0 : key)),
    );
    if (schema === undefined) throw new Error(`no schema at ${row.path}`);
    const result = z.safeParse(schema, parse(examples[row.path] ?? ''));
    expect(result.success, `${row.path}: ${examples[row.path] ?? ''}`).toBe(true);
  }
});
