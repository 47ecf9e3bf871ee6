/**
 * The rooms of src/ and who may import whom. This table is the architecture: a change of it is a
 * change of the design, never a way to make a test pass.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

/** Each room with those it may import directly; through them it may import theirs. */
const rooms: Readonly<Record<string, readonly string[]>> = {
  kernel: [],
  error: ['kernel'],
  unit: ['error'],
  event: ['unit'],
  graph: ['unit'],
  probe: ['error'],
  process: ['unit'],
  executor: ['graph', 'probe', 'process', 'event'],
  component: ['event', 'process'],
  balancer: ['event', 'probe'],
  cluster: ['event', 'probe', 'process'],
  vip: ['event', 'probe', 'process'],
  report: ['event', 'graph'],
  control: ['event', 'executor'],
  app: ['executor', 'component', 'balancer', 'cluster', 'vip', 'report', 'control'],
  cli: ['app', 'control'],
  // The public barrels, and what they add for library users, lie in src/ itself.
  'index.ts': ['library.ts'],
  'library.ts': ['unit', 'graph', 'probe', 'executor', 'event', 'error'],
  'testing.ts': ['unit', 'graph', 'probe', 'executor', 'event', 'error'],
};

/** Rooms of which others may import types only: what they do is not for them to call. */
const typesOnly: Readonly<Record<string, readonly string[]>> = { control: ['executor'] };

/** Modules that only one place may use. */
const reserved: readonly { readonly module: RegExp; readonly allowed: RegExp }[] = [
  { module: /^(?:execa|(?:node:)?child_process)$/, allowed: /^process\// },
  { module: /^p-retry$/, allowed: /^kernel\/retry\.ts$/ },
  { module: /^pino$/, allowed: /^report\// },
  { module: /^commander$/, allowed: /^cli\// },
];

const source = path.resolve(import.meta.dirname, '../../src');

interface Import {
  readonly from: string;
  /** As written. */
  readonly specifier: string;
  /** The file it names, relative to src/; undefined for a package. */
  readonly target: string | undefined;
  readonly isType: boolean;
  readonly isDynamic: boolean;
}

function importsOf(file: string, text: string): readonly Import[] {
  const found: Import[] = [];
  const add = (specifier: ts.Node, isType: boolean, isDynamic: boolean) => {
    if (!ts.isStringLiteralLike(specifier))
      throw new Error(`${file}: an import of a computed name hides from this test`);
    const target = specifier.text.startsWith('.') ? path.join(path.dirname(file), specifier.text) : undefined;
    found.push({ from: file, specifier: specifier.text, target, isType, isDynamic });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, isTypeImport(node), false);
    else if (ts.isExportDeclaration(node) && node.moduleSpecifier) add(node.moduleSpecifier, node.isTypeOnly, false);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, true, false);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [argument] = node.arguments;
      if (argument !== undefined) add(argument, false, true);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.ES2022));
  return found;
}

function isTypeImport({ importClause }: ts.ImportDeclaration): boolean {
  if (importClause === undefined) return false;
  if (importClause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  const { name, namedBindings } = importClause;
  if (name !== undefined || namedBindings === undefined || !ts.isNamedImports(namedBindings)) return false;
  return namedBindings.elements.length > 0 && namedBindings.elements.every((element) => element.isTypeOnly);
}

const roomOf = (file: string) => file.split('/')[0] ?? file;

/** The rooms that `room` may import: those named and, through them, theirs. */
function reachable(room: string, seen = new Set<string>()): ReadonlySet<string> {
  for (const next of rooms[room] ?? []) {
    if (seen.has(next)) continue;
    seen.add(next);
    reachable(next, seen);
  }
  return seen;
}

function violations(imports: readonly Import[]): readonly string[] {
  return imports.flatMap(({ from, specifier, target, isType }) => {
    const where = `src/${from} imports ${specifier}`;
    if (target === undefined) {
      const rule = reserved.find(({ module }) => module.test(specifier));
      return rule === undefined || rule.allowed.test(from) ? [] : [`${where}: only ${String(rule.allowed)} may`];
    }
    const [mine, theirs] = [roomOf(from), roomOf(target)];
    if (target.startsWith('..')) return [`${where}: outside src/`];
    if (mine === theirs) return [];
    if (!reachable(mine).has(theirs)) return [`${where}: ${mine} may not import ${theirs}`];
    if (typesOnly[mine]?.includes(theirs) === true && !isType)
      return [`${where}: ${mine} may import only types of ${theirs}`];
    return [];
  });
}

/** A chain of files that leads back to its start, or undefined. Imports at run time (dynamic) end a chain. */
function findCycle(imports: readonly Import[]): readonly string[] | undefined {
  const next = new Map<string, Set<string>>();
  for (const { from, target, isDynamic } of imports) {
    if (target === undefined || isDynamic) continue;
    next.set(from, (next.get(from) ?? new Set()).add(target));
  }
  const finished = new Set<string>();
  const search = (file: string, trail: readonly string[]): readonly string[] | undefined => {
    const start = trail.indexOf(file);
    if (start >= 0) return [...trail.slice(start), file];
    if (finished.has(file)) return undefined;
    for (const each of next.get(file) ?? []) {
      const cycle = search(each, [...trail, file]);
      if (cycle !== undefined) return cycle;
    }
    finished.add(file);
    return undefined;
  };
  for (const file of next.keys()) {
    const cycle = search(file, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
const all = files.flatMap((file) => importsOf(file, readFileSync(path.join(source, file), 'utf8')));

describe('the sources', () => {
  test('every room is in the table', () => {
    const unknown = new Set(files.map(roomOf).filter((room) => !Object.hasOwn(rooms, room)));
    expect([...unknown]).toEqual([]);
  });

  test('no file imports from a room that its own may not import', () => {
    expect(all.length).toBeGreaterThan(100);
    expect(violations(all)).toEqual([]);
  });

  test('no files import each other in a circle, types included', () => {
    expect(findCycle(all)).toBeUndefined();
  });
});

describe('this test', () => {
  const check = (file: string, text: string) => violations(importsOf(file, text));

  test.each([
    ['kernel/a.ts', "import { x } from '../error/codes.ts';", 'kernel may not import error'],
    ['unit/a.ts', "import type { X } from '../event/event.ts';", 'unit may not import event'],
    ['probe/a.ts', "export { x } from '../process/x.ts';", 'probe may not import process'],
    ['graph/a.ts', "const x = await import('../executor/x.ts');", 'graph may not import executor'],
    ['error/a.ts', "type X = import('../unit/x.ts').X;", 'error may not import unit'],
    ['component/a.ts', "import { execa } from 'execa';", 'may'],
    ['cli/a.ts', "import { spawn } from 'node:child_process';", 'may'],
    ['control/a.ts', "import { x } from '../executor/x.ts';", 'control may import only types of executor'],
    ['app/a.ts', "import x from '../../test/kit/x.ts';", 'outside src/'],
    ['report/a.ts', "import '../app/x.ts';", 'report may not import app'],
  ])('sees that %s must not say: %s', (file, text, expected) => {
    expect(check(file, text)).toEqual([expect.stringContaining(expected)]);
  });

  test.each([
    ['event/a.ts', "import { x } from '../kernel/x.ts';"],
    ['control/a.ts', "import type { X } from '../executor/x.ts'; import { type Y } from '../executor/y.ts';"],
    ['process/a.ts', "import { execa } from 'execa';"],
    ['cli/a.ts', "import { x } from '../app/x.ts';"],
  ])('allows %s to say: %s', (file, text) => {
    expect(check(file, text)).toEqual([]);
  });

  test('sees a circle over three files and names it', () => {
    const imports = ['a b', 'b c', 'c a'].flatMap((pair) => {
      const [from = '', to = ''] = pair.split(' ');
      return importsOf(`unit/${from}.ts`, `import { x } from './${to}.ts';`);
    });
    expect(findCycle(imports)).toEqual(['unit/a.ts', 'unit/b.ts', 'unit/c.ts', 'unit/a.ts']);
  });
});
