/**
 * Errors for people: the first line, the chain of causes down to the root, the last output of the
 * process nearest to the root, and one hint.
 *
 * Works on the JSON form of errors, so that an error that came over the control socket looks the
 * same as one thrown here.
 */
import { createColors } from 'picocolors';
import { errorCodes, type ErrorCode } from './codes.ts';
import { isErrorJson } from './from-json.ts';
import { errorToJson, type ErrorJson } from './startup-error.ts';
import { printable, shorten, singleLine, wrapWords } from './text.ts';

export interface RenderOptions {
  /** Columns of the terminal; without it nothing is wrapped or cut. */
  readonly width?: number;
  readonly colour?: boolean;
  /** Output lines of the process that are shown (default 5). */
  readonly outputLines?: number;
}

const defaultOutputLines = 5;
/** Output lines are cut after so many rows of the terminal: a stack in JSON must not hide the hint. */
const rowsPerOutputLine = 2;

/**
 * Several lines, without a line break at the end.
 *
 * @param error - anything thrown, or its {@link errorToJson} form
 */
export function renderError(error: unknown, options: RenderOptions = {}): string {
  const json = jsonOf(error);
  const errors = aggregated(json);
  if (errors === undefined) return renderChain(json, options).join('\n');
  const { bold } = createColors(options.colour ?? false);
  const toldRoots = new Set<string>();
  const blocks = errors.map((each) => {
    const root = rootKey(each);
    const isTold = toldRoots.has(root);
    toldRoots.add(root);
    return renderChain(each, options, isTold).join('\n');
  });
  const intro = json.message === '' ? `${String(errors.length)} failures` : singleLine(json.message);
  return [bold(`${intro}:`), ...blocks].join('\n');
}

/** The whole chain in one line: `cannot start kubelet: blocked by kube-apiserver ← … ← root cause`. */
export function oneLine(error: unknown): string {
  const json = jsonOf(error);
  const errors = aggregated(json);
  if (errors !== undefined) return errors.map(oneLine).join('; ');
  return chainLines(json).join(' ← ');
}

/**
 * The last line of the chain: what has to be mended. Not the words of the system below it where the line above has
 * its code or its path: `open '/x'` tells less than who could not read what for.
 */
export function rootLine(error: unknown): string {
  const json = jsonOf(error);
  const errors = aggregated(json);
  if (errors !== undefined) return errors.map(rootLine).join('; ');
  const chain = chainOf(json);
  const at = chain.findLastIndex((each, index) => !isSystemErrorOf(each, chain[index - 1]));
  return chainLines(json, at + 1).at(-1) ?? '';
}

/** An errno error, as Node.js words it (`ENOENT: …, open '/x'`), that is told by the error it is the cause of. */
function isSystemErrorOf({ code, message }: ErrorJson, parent: ErrorJson | undefined): boolean {
  if (parent === undefined || code === undefined || !/^E[A-Z0-9]+$/.test(code)) return false;
  const told = lineOf(parent);
  const [, file] = /, \w+ '([^']+)'$/.exec(message) ?? [];
  return told.includes(code) || (file !== undefined && told.includes(file));
}

function renderChain(json: ErrorJson, options: RenderOptions, isRootTold = false): string[] {
  const { width, colour = false, outputLines = defaultOutputLines } = options;
  const { red, dim, cyan } = createColors(colour);
  const wrap = (text: string, first: string, rest: string) =>
    width === undefined
      ? [`${first}${text}`]
      : wrapWords(text, Math.max(20, width - rest.length)).map((line, at) => `${at === 0 ? first : rest}${line}`);
  const [head = '', ...causes] = chainLines(json);
  const lines = wrap(head, '', '  ').map((line) => red(line));
  for (const cause of causes) lines.push(...wrap(cause, '  ← ', '    '));
  const chain = chainOf(json);
  const rendered = chain.map(({ rendered: text }) => text).find((text) => typeof text === 'string');
  if (rendered !== undefined) lines.push('', ...rendered.split('\n'), '');
  if (isRootTold) return lines;
  const told = lastOutput(chain);
  if (told !== undefined) {
    const output = told.lines
      .slice(-outputLines)
      .map((line) => (width === undefined ? printable(line) : shorten(printable(line), width * rowsPerOutputLine)));
    const title = `  last output of ${told.component}:`;
    if (output.length === 1) lines.push(`${dim(title)} ${output[0] ?? ''}`);
    else lines.push(dim(title), ...output.map((line) => `    ${line}`));
  }
  const hint = hintOf(chain);
  if (hint !== undefined) lines.push(...wrap(`hint: ${hint}`, '  ', '  ').map((line) => cyan(line)));
  return lines;
}

const jsonOf = (error: unknown): ErrorJson => (isErrorJson(error) ? error : errorToJson(error));

function aggregated(json: ErrorJson): readonly ErrorJson[] | undefined {
  const { errors } = json;
  return Array.isArray(errors) && errors.length > 0 && errors.every(isErrorJson) ? errors : undefined;
}

/** No honest chain is longer: the graph has no cycles and its depth is bounded; text from a socket may be anything. */
const maxChain = 1000;

function chainOf(json: ErrorJson): readonly ErrorJson[] {
  const chain: ErrorJson[] = [];
  for (let next: unknown = json; isErrorJson(next) && chain.length < maxChain; next = next.cause) chain.push(next);
  return chain;
}

/** One line per error of the chain; a cause that its parent has already quoted is left out. */
function chainLines(json: ErrorJson, depth = maxChain): string[] {
  const lines: string[] = [];
  for (const error of chainOf(json).slice(0, depth)) {
    const line = lineOf(error);
    if (lines.at(-1)?.includes(line) !== true) lines.push(line);
  }
  return lines;
}

function lineOf({ type, message, code, errors }: ErrorJson): string {
  if (message !== '') return singleLine(message);
  if (Array.isArray(errors)) return errors.filter(isErrorJson).map(lineOf).join('; ');
  return code ?? type;
}

function rootKey(json: ErrorJson): string {
  const root = chainOf(json).at(-1) ?? json;
  return `${text(root['component']) ?? ''}|${root.message}`;
}

function lastOutput(chain: readonly ErrorJson[]): { component: string; lines: readonly string[] } | undefined {
  for (const { component, lastLogLines } of chain.toReversed()) {
    const lines = Array.isArray(lastLogLines) ? lastLogLines.filter((line) => typeof line === 'string') : [];
    if (lines.length > 0) return { component: text(component) ?? 'the process', lines };
  }
  return undefined;
}

/** The hint nearest to the root, else the remedy of the code nearest to the root. */
function hintOf(chain: readonly ErrorJson[]): string | undefined {
  const fromRoot = chain.toReversed();
  const hint = fromRoot.map((error) => text(error['hint'])).find((each) => each !== undefined && each !== '');
  if (hint !== undefined) return singleLine(hint);
  for (const { code, component } of fromRoot) {
    if (code === undefined || !(code in errorCodes)) continue;
    const { remedy } = errorCodes[code as ErrorCode];
    return text(component) === undefined ? remedy : remedy.replaceAll('UNIT', text(component) ?? '');
  }
  return undefined;
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
