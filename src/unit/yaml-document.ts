/**
 * Reads any YAML with the `yaml` library and words its mistakes. Loaded only when a file is not
 * plain (plain-yaml.ts).
 *
 * Anchors, aliases, tags and further documents are refused: a unit file is small, and each of them
 * is a way to make a short file mean something large or unexpected.
 */
import { isMap, isPair, isScalar, isSeq, parseDocument, visit, type Document, type Node } from 'yaml';
import type { Entry, Located } from './located.ts';
import { maxDepth } from './variables.ts';

export interface YamlProblem {
  readonly message: string;
  readonly hint?: string;
  readonly from: number;
  readonly to: number;
}

/** Mistakes beyond these in one file are mostly consequences of the first. */
const maxProblems = 3;

/** The root of the document (its value is null when there is nothing in it), or what is wrong. */
export function readYaml(text: string): Located | readonly YamlProblem[] {
  const deepAt = tooDeepAt(text);
  if (deepAt !== undefined) {
    return [{ message: `nested deeper than ${String(maxDepth)} levels`, from: deepAt, to: deepAt + 1 }];
  }
  const document = parseDocument(text, {
    version: '1.2',
    schema: 'core',
    logLevel: 'error',
    prettyErrors: false,
    stringKeys: true,
  });
  // The library warns of a closing bracket as far left as its key; many people write it there.
  const warnings = document.warnings.filter(({ code }) => code !== 'BAD_INDENT');
  const problems = [...document.errors, ...warnings]
    .filter(({ pos: [from] }, index, all) => all.findIndex((other) => other.pos[0] === from) === index)
    .slice(0, maxProblems);
  if (problems.length > 0) {
    return problems.map(({ code, message, pos: [from, to] }) => ({
      ...wordsOf(code, message, lineAt(text, from)),
      from,
      to,
    }));
  }
  const exotic = exoticNode(document);
  return exotic === undefined ? located(document.contents) : [exotic];
}

function located(node: unknown): Located {
  const [from, to] = rangeOf(node);
  if (isSeq(node)) {
    const entries = node.items.map((item, index): Entry => {
      const child = located(isPair(item) ? item.value : item);
      return { key: index, keyFrom: child.from, keyTo: child.to, node: child };
    });
    return { value: entries.map((entry) => entry.node.value), from, to, entries };
  }
  if (isMap(node)) {
    const entries = node.items.map(({ key, value }): Entry => {
      const [keyFrom, keyTo] = rangeOf(key);
      const child = located(value);
      return {
        key: isScalar(key) ? String(key.value) : '',
        keyFrom,
        keyTo,
        node: child.to === 0 ? { ...child, from: keyTo, to: keyTo } : child,
      };
    });
    return { value: Object.fromEntries(entries.map((entry) => [entry.key, entry.node.value])), from, to, entries };
  }
  return { value: isScalar(node) ? node.value : null, from, to };
}

function rangeOf(node: unknown): readonly [number, number] {
  const range = isScalar(node) || isMap(node) || isSeq(node) ? node.range : undefined;
  return range ? [range[0], range[1]] : [0, 0];
}

function lineAt(text: string, offset: number): string {
  const end = text.indexOf('\n', offset);
  return text.slice(text.lastIndexOf('\n', offset - 1) + 1, end < 0 ? text.length : end);
}

function wordsOf(code: string, message: string, line: string): { message: string; hint?: string } {
  const plain = message.charAt(0).toLowerCase() + message.slice(1);
  if (/[[{,]\s*[^"'\s]*\$\{/.test(line)) {
    return { message: plain, hint: 'inside […] and {…} put quotes around ${…}: "${name}"' };
  }
  switch (code) {
    case 'DUPLICATE_KEY':
      return { message: 'this key is written twice' };
    case 'MULTIPLE_DOCS':
      return { message: 'a second document begins here', hint: 'one file is one unit: make a file of each' };
    case 'TAB_AS_INDENT':
      return { message: 'a tab is not allowed as indentation', hint: 'indent with spaces' };
    case 'BLOCK_AS_IMPLICIT_KEY':
      return { message: plain, hint: 'put a value that contains ": " in quotes, and look at the indentation' };
    case 'NON_STRING_KEY':
      return { message: 'a key must be text', hint: 'put it in quotes' };
    case 'TAG_RESOLVE_FAILED':
      return { message: 'tags are not supported in unit files' };
    default:
      return { message: plain.startsWith('missing closing') ? 'a quote is never closed' : plain };
  }
}

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

function exoticNode(document: Document): YamlProblem | undefined {
  let found: YamlProblem | undefined;
  const take = (node: Node, what: string, sign: string) => {
    const [from, to] = node.range ?? [0, 0];
    found = {
      message: `${what} are not supported in unit files`,
      hint: `put text that begins with ${sign} in quotes`,
      from,
      to,
    };
    return visit.BREAK;
  };
  visit(document, {
    Alias: (_, node) => take(node, 'aliases', '*'),
    Collection: (_, node) => (node.anchor === undefined ? undefined : take(node, 'anchors', '&')),
    Scalar(_, node) {
      if (node.anchor !== undefined) return take(node, 'anchors', '&');
      const { value } = node;
      return typeof value === 'object' && value !== null ? take(node, 'tags', '!') : undefined;
    },
  });
  return found;
}
