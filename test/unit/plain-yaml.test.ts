import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Located } from '../../src/unit/located.ts';
import { readPlainYaml } from '../../src/unit/plain-yaml.ts';
import { readYaml } from '../../src/unit/yaml-document.ts';

const runs = Number(process.env['FAST_CHECK_RUNS'] ?? 4000);

const usual = `# yaml-language-server: $schema=./unit.schema.json
about: The cluster's datastore # a comment
kind: service
run: [etcd, --data-dir, "\${dataDir}/etcd", -v=2]
flags: {quota-backend-bytes: "8589934592", a.b/c: 'it''s'}
env:
  GOMAXPROCS: "2"

  OTHER: http://127.0.0.1:2379/#x
needs:
  - hard: certificates
    until: started
  # why
  - soft: kernel-settings
    maxWait: 10s
  - parallel: containerd
ready:
  all:
  - {tcp: "127.0.0.1:1"}
  - https:
      url: "https://127.0.0.1:2379/health"
claims:
  ports: [
    2379,
    2380, # peers
  ]
undo:
  - ip
  - "a\\nb"
restart: {limit: {starts: 5}, backoff: {jitter: 0.2}}
cwd:
`;

/** Values and ranges of a tree, without what the two readers may tell differently: where "nothing" stands. */
function shape(node: Located): unknown {
  return {
    ...(node.value === null ? {} : { from: node.from }),
    value: node.value,
    entries: node.entries?.map(({ key, keyFrom, keyTo, node: child }) =>
      child.value === null ? [key, shape(child)] : [key, keyFrom, typeof key === 'number' ? 0 : keyTo, shape(child)],
    ),
  };
}

function expectSame(text: string): boolean {
  const plain = readPlainYaml(text);
  if (plain === undefined) return false;
  const full = readYaml(text);
  if (!('from' in full)) throw new Error(`the library refuses it: ${JSON.stringify(full)}`);
  expect(shape(plain)).toEqual(shape(full));
  return true;
}

test('the plain reader reads a usual unit file, with the values and places of the yaml library', () => {
  expect(expectSame(usual)).toBe(true);
});

const edit = fc.record({
  at: fc.nat(usual.length),
  remove: fc.integer({ min: 0, max: 3 }),
  insert: fc
    .array(
      fc.constantFrom(
        ...Array.from('\n :-#"\'[]{},&*!|>%@`?\\~.0123456789abe$_+'),
        '  ',
        '\n  ',
        ': ',
        ' #',
        '- ',
        'null',
        'true',
        '0x1',
        '1e3',
        '\t',
        '\r\n',
        'é',
        '---\n',
        '<<: ',
      ),
      { maxLength: 3 },
    )
    .map((parts) => parts.join('')),
});

test('the plain reader never reads an edited unit file differently from the yaml library', () => {
  let read = 0;
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      let text = usual;
      for (const { at, remove, insert } of edits) text = text.slice(0, at) + insert + text.slice(at + remove);
      if (expectSame(text)) read += 1;
    }),
    { numRuns: runs },
  );
  // Else the property would hold for a reader that gives up always.
  expect(read).toBeGreaterThan(runs / 10);
});

const token = fc.constantFrom(
  'a',
  'b',
  'a: ',
  'b: ',
  'c:',
  '- ',
  '-',
  '\n',
  '\n  ',
  '\n    ',
  '[',
  ']',
  '{',
  '}',
  ', ',
  ',',
  '"x"',
  "'y'",
  '1',
  '0.5',
  '-1',
  'true',
  '# c',
  ' ',
  'x y',
  'http://h:1',
  ':',
  '#',
  '-x',
  '"',
);

test('the plain reader never reads a soup of YAML tokens differently from the yaml library', () => {
  fc.assert(
    fc.property(fc.array(token, { maxLength: 25 }), (tokens) => {
      expectSame(`a: ${tokens.join('')}`);
      expectSame(tokens.join(''));
    }),
    { numRuns: runs },
  );
});

test.each([
  ['a block scalar', 'a: |\n  x\n'],
  ['text over two lines', 'a: x\n  y\n'],
  ['an alias', 'a: *x\n'],
  ['an anchor', 'a: &x 1\n'],
  ['a tag', 'a: !!str 1\n'],
  ['a tab', 'a:\tx\n'],
  ['a document mark', '---\na: x\n'],
  ['a key written twice', 'a: 1\na: 2\n'],
  ['a number that is not plainly decimal', 'a: 0x10\n'],
  ['a list as a key', '? [a]\n: b\n'],
  ['a nest deeper than it follows', `a: ${'['.repeat(40)}${']'.repeat(40)}\n`],
  ['nothing', ''],
])('the plain reader leaves %s to the yaml library', (_, text) => {
  expect(readPlainYaml(text)).toBeUndefined();
});

test.each(['127.0.0.1', '1.36.3', '0.0.0.0', '1.2', '1.', '.5', '1e3', '0x1f', '+12', '1.2.3e4', '12-3'])(
  'what looks like a number is read as the library reads it, or not at all: %s',
  (text) => {
    const plain = readPlainYaml(`key: ${text}\n`);
    if (plain !== undefined) expect(expectSame(`key: ${text}\n`)).toBe(true);
  },
);

// Each one that is not costs every start the loading of the library.
test('every shipped unit is plain', () => {
  const units = new URL('../../units/', import.meta.url);
  const files = readdirSync(units).filter((name) => name.endsWith('.yaml'));
  expect(files.length).toBeGreaterThan(10);
  expect(files.filter((name) => readPlainYaml(readFileSync(new URL(name, units), 'utf8')) === undefined)).toEqual([]);
});
