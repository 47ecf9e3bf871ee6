/**
 * The text of one unit file or drop-in: read once for its values, and read again with positions
 * only when somebody asks where something stands. So a start without mistakes keeps no trees.
 */
import { diagnosticAt, type Diagnostic } from './diagnostic.ts';
import { findRange, type Located, type Target } from './located.ts';
import { readPlainYaml } from './plain-yaml.ts';
import type { SourcePlace } from './schema.ts';
import type { Path } from './variables.ts';

type Report = (diagnostic: Diagnostic) => void;

export class SourceText {
  readonly file: string;
  readonly #makeText: () => string;
  #text: string | undefined;
  #read: (text: string) => Located | undefined = readPlainYaml;
  #root: Located | undefined;
  #lineStarts: readonly number[] | undefined;

  /** @param text - the content, or how to write it when it is asked for (values that came without a file) */
  constructor(file: string, text: string | (() => string)) {
    this.file = file;
    this.#makeText = typeof text === 'string' ? () => text : text;
  }

  /** The map that the file holds; undefined after its mistakes have gone to `report`. */
  async parse(report: Report): Promise<Readonly<Record<string, unknown>> | undefined> {
    const root = readPlainYaml(this.text) ?? (await this.#parseAny(report));
    if (root === undefined) return undefined;
    if (root.value === null) {
      const hint = 'a unit has at least `about` and `run`';
      report(diagnosticAt(this.whole, { code: 'file', message: 'the file is empty', hint }));
      return undefined;
    }
    if (typeof root.value !== 'object' || Array.isArray(root.value)) {
      const hint = 'write `about: …`, `run: […]`';
      const message = 'expected a map of keys and values';
      report(diagnosticAt(this.placeOf(root.from, root.to), { code: 'type', message, hint }));
      return undefined;
    }
    return root.value as Record<string, unknown>;
  }

  async #parseAny(report: Report): Promise<Located | undefined> {
    const { readYaml } = await import('./yaml-document.ts');
    const isTree = (read: ReturnType<typeof readYaml>): read is Located => 'from' in read;
    const read = readYaml(this.text);
    if (isTree(read)) {
      this.#read = (text) => {
        const again = readYaml(text);
        return isTree(again) ? again : undefined;
      };
      return read;
    }
    for (const { from, to, ...text } of read) {
      report(diagnosticAt(this.placeOf(from, to), { code: 'yaml', ...text }));
    }
    return undefined;
  }

  get text(): string {
    return (this.#text ??= this.#makeText());
  }

  /** The file itself. */
  get whole(): SourcePlace {
    return { file: this.file, line: 0, column: 0 };
  }

  /** Place of a range of character offsets; what lies on later lines is left out. */
  placeOf(from: number, to: number): SourcePlace {
    this.#lineStarts ??= lineStarts(this.text);
    const line = lineOf(this.#lineStarts, from);
    const start = this.#lineStarts[line] ?? 0;
    const next = this.#lineStarts[line + 1] ?? this.text.length + 1;
    const excerpt = this.text.slice(start, next - 1).replace(/\r$/, '');
    const column = from - start + 1;
    const endColumn = Math.max(column + 1, Math.min(to - start, excerpt.trimEnd().length) + 1);
    return { file: this.file, line: line + 1, column, endColumn, excerpt };
  }

  /** Where `path` is written: the deepest part of it that exists, its key or its value. */
  find(path: Path, target: Target): SourcePlace {
    this.#root ??= this.#read(this.text);
    if (this.#root === undefined) return { ...this.whole, line: 1, column: 1 };
    return this.placeOf(...findRange(this.#root, path, target));
  }

  /** Where `token` is written inside the value at `path`, or the value if it is not found literally. */
  findToken(path: Path, token: string): SourcePlace {
    this.#root ??= this.#read(this.text);
    const [from, to] = this.#root === undefined ? [0, 0] : findRange(this.#root, path, 'value');
    const at = this.text.indexOf(token, from);
    return at < 0 || at >= to ? this.placeOf(from, to) : this.placeOf(at, at + token.length);
  }

  /** Lets go of everything that can be made again. */
  forget(): void {
    this.#root = undefined;
    this.#lineStarts = undefined;
  }
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

/** Index of the last line that starts at or before `offset`. */
function lineOf(starts: readonly number[], offset: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((starts[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}
