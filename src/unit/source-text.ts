/**
 * The text of one unit file or drop-in: read as YAML once, and read again with positions only when
 * somebody asks where something stands. So a start without mistakes keeps no syntax trees.
 *
 * Anchors, aliases, tags and further documents are refused: a unit file is small, and each of them
 * is a way to make a short file mean something large or unexpected.
 */
import { isMap, isPair, isScalar, isSeq, parseDocument, visit, type Document, type Node, type Pair } from 'yaml';
import { diagnosticAt, type Diagnostic } from './diagnostic.ts';
import type { SourcePlace } from './schema.ts';
import { maxDepth, type Path } from './variables.ts';

/** What of a path is meant: the key, or the value that stands there. */
export type Target = 'key' | 'value';

export class SourceText {
  readonly file: string;
  readonly #makeText: () => string;
  #text: string | undefined;
  #document: Document | undefined;
  #lineStarts: readonly number[] | undefined;

  /** @param text - the content, or how to write it when it is asked for (values that came without a file) */
  constructor(file: string, text: string | (() => string)) {
    this.file = file;
    this.#makeText = typeof text === 'string' ? () => text : text;
  }

  /** The map that the file holds; every mistake goes to `report`. */
  parse(report: (diagnostic: Diagnostic) => void): Record<string, unknown> | undefined {
    const deepAt = tooDeepAt(this.#source);
    if (deepAt !== undefined) {
      const message = `nested deeper than ${String(maxDepth)} levels`;
      report(diagnosticAt(this.placeOf(deepAt, deepAt + 1), { code: 'yaml', message }));
      return undefined;
    }
    const document = parseYaml(this.#source);
    const problems = [...document.errors, ...document.warnings];
    for (const { code, message, pos } of problems.slice(0, 3)) {
      report(diagnosticAt(this.placeOf(pos[0], pos[1]), { code: 'yaml', ...this.#yamlText(code, message, pos[0]) }));
    }
    if (problems.length > 0) return undefined;
    if (document.contents === null) {
      const hint = 'a unit has at least `about` and `run`';
      report(diagnosticAt(this.whole, { code: 'file', message: 'the file is empty', hint }));
      return undefined;
    }
    const exotic = /[&*!]/.test(this.#source) ? exoticNode(document) : undefined;
    if (exotic !== undefined) {
      const [from, to] = exotic.range;
      report(diagnosticAt(this.placeOf(from, to), { code: 'yaml', message: exotic.message, hint: exotic.hint }));
      return undefined;
    }
    if (!isMap(document.contents)) {
      const [from, to] = document.contents.range;
      const message = 'expected a map of keys and values';
      report(diagnosticAt(this.placeOf(from, to), { code: 'type', message, hint: 'write `about: …`, `run: […]`' }));
      return undefined;
    }
    return document.toJS({ maxAliasCount: 0 }) as Record<string, unknown>;
  }

  /** The file itself. */
  get whole(): SourcePlace {
    return { file: this.file, line: 0, column: 0 };
  }

  /** Place of a range of character offsets; what lies on later lines is left out. */
  placeOf(from: number, to: number): SourcePlace {
    this.#lineStarts ??= lineStarts(this.#source);
    let low = 0;
    let high = this.#lineStarts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.#lineStarts[middle] ?? 0) <= from) low = middle;
      else high = middle - 1;
    }
    const start = this.#lineStarts[low] ?? 0;
    const excerpt = /[^\r\n]*/.exec(this.#source.slice(start))?.[0] ?? '';
    const column = from - start + 1;
    const endColumn = Math.max(column + 1, Math.min(to - start, excerpt.trimEnd().length) + 1);
    return { file: this.file, line: low + 1, column, endColumn, excerpt };
  }

  /** Where `path` is written: the deepest part of it that exists, its key or its value. */
  find(path: Path, target: Target): SourcePlace {
    this.#document ??= parseYaml(this.#source);
    let node: Node | null | undefined = this.#document.contents;
    let key: Node | undefined;
    for (const segment of path) {
      const next = child(node, segment);
      if (next === undefined) break;
      key = next.key ?? next.value ?? undefined;
      node = next.value;
    }
    const asked = target === 'value' && node?.range ? node : (key ?? firstKey(this.#document.contents));
    const range = asked?.range;
    return range ? this.placeOf(range[0], range[1]) : { ...this.whole, line: 1, column: 1 };
  }

  /** Where `token` is written inside the value at `path`, or the value if it is not found literally. */
  findToken(path: Path, token: string): SourcePlace {
    const value = this.find(path, 'value');
    const start = (this.#lineStarts?.[value.line - 1] ?? 0) + value.column - 1;
    const at = this.#source.indexOf(token, start);
    return at < 0 ? value : this.placeOf(at, at + token.length);
  }

  /** Lets go of everything that can be made again. */
  forget(): void {
    this.#document = undefined;
    this.#lineStarts = undefined;
  }

  get #source(): string {
    return (this.#text ??= this.#makeText());
  }

  #yamlText(code: string, message: string, offset: number): { message: string; hint?: string } {
    const line = this.placeOf(offset, offset).excerpt ?? '';
    if (/[[{,]\s*[^"'\s]*\$\{/.test(line)) {
      return { message: lowerFirst(message), hint: 'inside […] and {…} put quotes around ${…}: "${name}"' };
    }
    switch (code) {
      case 'DUPLICATE_KEY':
        return { message: 'this key is written twice' };
      case 'MULTIPLE_DOCS':
        return { message: 'a second document begins here', hint: 'one file is one unit: make a file of each' };
      case 'TAB_AS_INDENT':
        return { message: 'a tab is not allowed as indentation', hint: 'indent with spaces' };
      case 'BLOCK_AS_IMPLICIT_KEY':
        return { message: lowerFirst(message), hint: 'put a value that contains ": " in quotes' };
      case 'TAG_RESOLVE_FAILED':
        return { message: 'tags are not supported in unit files' };
      default:
        return { message: lowerFirst(message) };
    }
  }
}

const parseYaml = (text: string) =>
  parseDocument(text, { version: '1.2', schema: 'core', logLevel: 'error', prettyErrors: false, stringKeys: true });

const lowerFirst = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);

/**
 * Offset at which the nesting becomes too deep, found before the parser runs: on a nest of
 * thousands it takes minutes or ends the process (a regular expression runs out of memory).
 */
function tooDeepAt(text: string): number | undefined {
  const compact = new RegExp(`^[ \\t]*(?:[-?:][ \\t]+){${String(maxDepth)}}`, 'm').exec(text);
  if (compact !== null) return compact.index;
  let depth = 0;
  for (let offset = 0; offset < text.length; offset += 1) {
    const character = text.charCodeAt(offset);
    if (character === 0x5b || character === 0x7b) depth += 1;
    else if ((character === 0x5d || character === 0x7d) && depth > 0) depth -= 1;
    if (depth > maxDepth) return offset;
  }
  return undefined;
}

interface Exotic {
  readonly message: string;
  readonly hint?: string;
  readonly range: readonly [number, number];
}

function exoticNode(document: Document): Exotic | undefined {
  let found: Exotic | undefined;
  const take = (node: Node, message: string, hint?: string) => {
    found = { message, range: [node.range?.[0] ?? 0, node.range?.[1] ?? 0], ...(hint === undefined ? {} : { hint }) };
    return visit.BREAK;
  };
  visit(document, {
    Alias: (_, node) => take(node, 'aliases are not supported in unit files', 'put text that begins with * in quotes'),
    Node(_, node) {
      if (node.anchor !== undefined) {
        return take(node, 'anchors are not supported in unit files', 'put text that begins with & in quotes');
      }
      if (node.tag !== undefined && !isCollectionOrText(node)) {
        return take(node, 'tags are not supported in unit files', 'put text that begins with ! in quotes');
      }
      return undefined;
    },
  });
  return found;
}

/** A `!!str`, `!!map` or `!!seq` says what is true anyway. */
const isCollectionOrText = (node: Node) =>
  isMap(node) || isSeq(node) || (isScalar(node) && typeof node.value === 'string');

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

interface Child {
  readonly key?: Node;
  readonly value: Node | null;
}

function child(node: Node | null | undefined, segment: string | number): Child | undefined {
  if (isSeq(node)) {
    const item = node.items[Number(segment)];
    return item === undefined || isPair(item) ? undefined : { value: item as Node };
  }
  if (!isMap(node)) return undefined;
  const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(segment)) as
    Pair<Node, Node | null> | undefined;
  return pair && { key: pair.key, value: pair.value };
}

function firstKey(node: Node | null): Node | undefined {
  const key = isMap(node) ? node.items[0]?.key : undefined;
  return isScalar(key) ? key : undefined;
}
