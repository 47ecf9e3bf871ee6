/**
 * Reads the plain part of YAML that unit files are written in: block maps and lists, flow maps and
 * lists, quoted and plain text on one line, comments. At whatever else it gives up and says
 * nothing, and the `yaml` library reads the file (yaml-document.ts) and words the mistakes.
 *
 * Why: that library needs 40 to 110 ms for the first twenty files of a process, more than all the
 * rest of a start of ours together; this reader needs 2 ms. It may refuse much, but what it does
 * read must be exactly what the library reads: a property test compares the two.
 *
 * Source of the grammar: YAML 1.2.2, core schema (chapter 10.3).
 */
import type { Entry, Located } from './located.ts';

/** The map that `text` holds, or undefined: not plain YAML, or not YAML at all. */
export function readPlainYaml(text: string): Located | undefined {
  // Tabs, carriage returns, other control characters and exotic line ends have rules of their own.
  if (/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\ufeff]|[\ud800-\udfff](?![\udc00-\udfff])/.test(text)) {
    return undefined;
  }
  try {
    return new PlainReader(text).document();
  } catch (error) {
    if (error === notPlain) return undefined;
    throw error;
  }
}

/** Thrown to give up. One for all: making a stack trace each time would cost more than the reading. */
const notPlain = new Error('not plain YAML');

const key = /([A-Za-z_$][\w./$@-]*) *:(?=[ \n]|$)/y;
const plainText = /[^\s,[\]{}#&*!|>'"%@`?:](?:[^\n:#]|:(?=[^\s])|(?<=[^\s])#)*/y;
const plainFlowText = /[^\s,[\]{}#&*!|>'"%@`?:](?:[^\n:#,[\]{}]|:(?=[^\s,[\]{}])|(?<=[^\s])#)*/y;
const doubleQuoted = /"(?:[^"\\\n]|\\["\\/bfnrt])*"/y;
const singleQuoted = /'(?:[^'\n]|'')*'/y;
const restOfLine = / *(?:(?<=[ \n])#[^\n]*)?(?:\n|$)/y;

/** Words and numbers that the core schema does not read as text, or may not. */
const notText = /^(?:~|null|true|false|[-+.]?(?:0[xo])?[\d.][\da-f.+_-]*|[-+]?\.(?:inf|nan))$/i;
/** An address or a version: no number has two dots. */
const dotted = /^\d+(?:\.\d+){2,}$/;
const decimal = /^-?(?:0|[1-9]\d{0,8})(?:\.\d{1,6})?$/;

/** Deeper nesting is left to the other reader, which refuses it in words. */
const maxDepth = 24;

class PlainReader {
  readonly #text: string;
  #at = 0;
  #depth = 0;
  #flowDepth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): Located {
    if (this.#toContent() !== 0) throw notPlain;
    const map = this.#blockMap(0);
    if (this.#at < this.#text.length) throw notPlain;
    return map;
  }

  /** Skips blank lines and comments from the start of a line; stands on the first content and gives its indent, or -1 at the end. */
  #toContent(): number {
    for (;;) {
      let at = this.#at;
      while (this.#text[at] === ' ') at += 1;
      const next = this.#text[at];
      if (next === undefined) {
        this.#at = at;
        return -1;
      }
      if (next !== '\n' && next !== '#') {
        const indent = at - this.#at;
        this.#at = at;
        return indent;
      }
      const end = this.#text.indexOf('\n', at);
      this.#at = end < 0 ? this.#text.length : end + 1;
    }
  }

  /** Like {@link #toContent}, but stays where it is. */
  #peekIndent(): number {
    const before = this.#at;
    const indent = this.#toContent();
    this.#at = before;
    return indent;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match !== null) this.#at = pattern.lastIndex;
    return match;
  }

  #endLine(): void {
    if (this.#match(restOfLine) === null) throw notPlain;
  }

  /** Stands on the first key. */
  #blockMap(indent: number): Located {
    this.#deeper();
    const from = this.#at;
    const entries: Entry[] = [];
    let to = from;
    for (;;) {
      const keyFrom = this.#at;
      const name = this.#match(key)?.[1];
      if (name === undefined || notText.test(name) || name === '__proto__') throw notPlain;
      const node = this.#blockValue(indent, true);
      entries.push({ key: name, keyFrom, keyTo: keyFrom + name.length, node });
      to = node.to;
      if (!this.#nextSibling(indent)) break;
      if (this.#text[this.#at] === '-') throw notPlain;
    }
    this.#depth -= 1;
    return mapOf(entries, from, to);
  }

  /** Stands on the first dash. */
  #blockList(indent: number): Located {
    this.#deeper();
    const from = this.#at;
    const entries: Entry[] = [];
    let to = from;
    while (this.#isDash()) {
      this.#at += 1;
      const node = this.#blockValue(indent, false);
      entries.push({ key: entries.length, keyFrom: node.from, keyTo: node.to, node });
      to = node.to;
      if (!this.#nextSibling(indent)) break;
      // A list under a key may stand at the key's own indent: what follows is the next key.
      if (!this.#isDash()) {
        this.#at -= indent;
        break;
      }
    }
    this.#depth -= 1;
    return listOf(entries, from, to);
  }

  #isDash(): boolean {
    return this.#text[this.#at] === '-' && /[ \n]/.test(this.#text[this.#at + 1] ?? '\n');
  }

  /** Goes on to the next key or dash of this block, or stays at the start of its line when the block has ended. */
  #nextSibling(indent: number): boolean {
    const next = this.#peekIndent();
    if (next > indent) throw notPlain;
    if (next < indent) return false;
    this.#toContent();
    return true;
  }

  /** What stands after `key:` or `-`. Ends at the start of a line. */
  #blockValue(indent: number, afterKey: boolean): Located {
    const start = this.#at;
    if (this.#match(restOfLine) !== null) {
      const next = this.#peekIndent();
      if (next > indent || (next === indent && afterKey)) {
        const before = this.#at;
        this.#toContent();
        if (this.#isDash()) return this.#blockList(next);
        if (next > indent) return this.#startsKey() ? this.#blockMap(next) : this.#ownLineValue(indent);
        this.#at = before;
      }
      return { value: null, from: start, to: start };
    }
    while (this.#text[this.#at] === ' ') this.#at += 1;
    if (this.#isDash()) throw notPlain;
    if (!afterKey && this.#startsKey()) {
      return this.#blockMap(this.#at - (this.#text.lastIndexOf('\n', this.#at) + 1));
    }
    return this.#ownLineValue(indent);
  }

  #ownLineValue(indent: number): Located {
    const node = this.#inlineValue(plainText, indent);
    this.#endLine();
    // More text deeper than the key would belong to this value.
    if (this.#peekIndent() > indent) throw notPlain;
    return node;
  }

  #startsKey(): boolean {
    key.lastIndex = this.#at;
    return key.test(this.#text);
  }

  #inlineValue(plain: RegExp, indent: number): Located {
    const from = this.#at;
    switch (this.#text[from]) {
      case '[':
        return this.#flowList(indent);
      case '{':
        return this.#flowMap(indent);
      case '"': {
        const token = this.#match(doubleQuoted)?.[0];
        if (token === undefined) throw notPlain;
        return { value: JSON.parse(token) as string, from, to: this.#at };
      }
      case "'": {
        const token = this.#match(singleQuoted)?.[0];
        if (token === undefined) throw notPlain;
        return { value: token.slice(1, -1).replaceAll("''", "'"), from, to: this.#at };
      }
      default: {
        const token = this.#match(plain)?.[0].trimEnd();
        if (token === undefined || token === '-' || token.startsWith('- ')) throw notPlain;
        this.#at = from + token.length;
        return { value: scalar(token), from, to: this.#at };
      }
    }
  }

  /** Skips spaces, comments and line ends inside brackets. */
  #flowSpace(indent: number): void {
    if (this.#text[this.#at] === ' ' || this.#text[this.#at] === '\n') {
      const before = this.#at;
      if (this.#match(restOfLine) === null) {
        this.#at = before;
        while (this.#text[this.#at] === ' ') this.#at += 1;
      } else {
        // Only the outermost closing bracket may stand as far left as the key.
        const here = this.#toContent();
        const mayEnd = this.#flowDepth === 1 && /[\]}]/.test(this.#text[this.#at] ?? '');
        if (here < indent || (here === indent && !mayEnd)) throw notPlain;
      }
    }
    if (this.#at >= this.#text.length) throw notPlain;
  }

  #flowList(indent: number): Located {
    this.#deeper();
    this.#flowDepth += 1;
    const from = this.#at;
    const entries: Entry[] = [];
    this.#at += 1;
    for (;;) {
      this.#flowSpace(indent);
      if (this.#text[this.#at] === ']') break;
      const node = this.#inlineValue(plainFlowText, indent);
      entries.push({ key: entries.length, keyFrom: node.from, keyTo: node.to, node });
      if (this.#flowNext(']', indent)) break;
    }
    this.#at += 1;
    this.#flowDepth -= 1;
    this.#depth -= 1;
    return listOf(entries, from, this.#at);
  }

  #flowMap(indent: number): Located {
    this.#deeper();
    this.#flowDepth += 1;
    const from = this.#at;
    const entries: Entry[] = [];
    this.#at += 1;
    for (;;) {
      this.#flowSpace(indent);
      if (this.#text[this.#at] === '}') break;
      const keyFrom = this.#at;
      const name = this.#match(key)?.[1];
      if (name === undefined || notText.test(name) || name === '__proto__' || this.#text[this.#at] !== ' ')
        throw notPlain;
      this.#flowSpace(indent);
      const node = this.#inlineValue(plainFlowText, indent);
      entries.push({ key: name, keyFrom, keyTo: keyFrom + name.length, node });
      if (this.#flowNext('}', indent)) break;
    }
    this.#at += 1;
    this.#flowDepth -= 1;
    this.#depth -= 1;
    return mapOf(entries, from, this.#at);
  }

  /** After an item: true at the closing bracket, false after a comma. */
  #flowNext(close: string, indent: number): boolean {
    this.#flowSpace(indent);
    if (this.#text[this.#at] === close) return true;
    if (this.#text[this.#at] !== ',') throw notPlain;
    this.#at += 1;
    return false;
  }

  #deeper(): void {
    this.#depth += 1;
    if (this.#depth > maxDepth) throw notPlain;
  }
}

function scalar(text: string): unknown {
  if (!notText.test(text) || dotted.test(text)) return text;
  if (text === 'true') return true;
  if (text === 'false') return false;
  if (decimal.test(text)) return Number(text);
  throw notPlain;
}

function mapOf(entries: readonly Entry[], from: number, to: number): Located {
  const value: Record<string, unknown> = {};
  for (const { key: name, node } of entries) {
    if (Object.hasOwn(value, name)) throw notPlain;
    value[name] = node.value;
  }
  return { value, from, to, entries };
}

function listOf(entries: readonly Entry[], from: number, to: number): Located {
  return { value: entries.map(({ node }) => node.value), from, to, entries };
}
