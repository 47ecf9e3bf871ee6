/**
 * A mistake in somebody's file, as data: what, where, and what to do. Unit files and the graph
 * report with it; several are always reported together.
 *
 * Not here: failures of running units (error/readiness-error.ts).
 */
import { StartupError } from '../error/startup-error.ts';
import type { SourcePlace } from './schema.ts';

/** Stable names of the kinds of mistake, for `--json` readers. */
export type DiagnosticCode =
  | 'file'
  | 'yaml'
  | 'unknown-key'
  | 'missing'
  | 'type'
  | 'value'
  | 'variable'
  | 'template'
  | 'drop-in'
  | 'option'
  | 'unknown-unit'
  | 'disabled-unit'
  | 'cycle'
  | 'claim'
  | 'duplicate-edge'
  | 'redundant-edge';

/** Another place that belongs to the same mistake: the other claim, the next edge of a cycle. */
export interface RelatedPlace {
  readonly message: string;
  readonly place: SourcePlace;
}

export interface Diagnostic {
  readonly severity: 'error' | 'warning';
  readonly code: DiagnosticCode;
  readonly message: string;
  readonly file: string;
  /** From 1; 0 when the mistake is the file itself or an option. */
  readonly line: number;
  /** From 1, in UTF-16 units as editors count; 0 with line 0. */
  readonly column: number;
  /** Column after the last character, when the mistake ends on the same line. */
  readonly endColumn?: number;
  /** The source line. */
  readonly excerpt?: string;
  readonly hint?: string;
  readonly related?: readonly RelatedPlace[];
}

/** The place where options of the command line are reported. */
export const commandLine: SourcePlace = { file: '(command line)', line: 0, column: 0 };

export interface DiagnosticText {
  readonly severity?: 'error' | 'warning';
  readonly code: DiagnosticCode;
  readonly message: string;
  readonly hint?: string | undefined;
  readonly related?: readonly RelatedPlace[];
}

export function diagnosticAt(place: SourcePlace, text: DiagnosticText): Diagnostic {
  const { severity = 'error', code, message, hint, related } = text;
  return {
    severity,
    code,
    message,
    ...place,
    ...(hint === undefined ? {} : { hint }),
    ...(related === undefined || related.length === 0 ? {} : { related }),
  };
}

/** By file, then place; the order in which people mend them. */
export function sortDiagnostics(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  return diagnostics.toSorted(
    (a, b) =>
      compareText(a.file, b.file) || a.line - b.line || a.column - b.column || compareText(a.message, b.message),
  );
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export const placeText = ({ file, line, column }: SourcePlace): string =>
  line === 0 ? file : `${file}:${String(line)}:${String(column)}`;

/** Colours of a rendered diagnostic; the identity functions of {@link plain} for none. */
export interface DiagnosticStyle {
  error(text: string): string;
  warning(text: string): string;
  strong(text: string): string;
  faint(text: string): string;
}

const same = (text: string) => text;
const plain: DiagnosticStyle = { error: same, warning: same, strong: same, faint: same };

/** Longest part of a source line that is shown: a minified file must not fill the screen. */
const maxExcerpt = 160;
const maxUnderline = 60;

/**
 * ```
 * units/etcd.yaml:3:1: error: unknown key "startWitin"
 *   3 | startWitin: 60s
 *     | ^~~~~~~~~~
 *   hint: did you mean "startWithin"?
 * ```
 */
export function renderDiagnostic(diagnostic: Diagnostic, style: DiagnosticStyle = plain): string {
  const { severity, message, hint, related = [] } = diagnostic;
  const lines = [`${style.strong(`${placeText(diagnostic)}:`)} ${style[severity](`${severity}:`)} ${message}`];
  lines.push(...excerptLines(diagnostic, style, severity));
  for (const { message: text, place } of related) {
    lines.push(`  ${style.strong(`${placeText(place)}:`)} ${text}`, ...excerptLines(place, style, severity));
  }
  if (hint !== undefined) lines.push(`  hint: ${hint}`);
  return lines.join('\n');
}

export function renderDiagnostics(diagnostics: readonly Diagnostic[], style: DiagnosticStyle = plain): string {
  return diagnostics.map((diagnostic) => renderDiagnostic(diagnostic, style)).join('\n\n');
}

function excerptLines(place: SourcePlace, style: DiagnosticStyle, severity: 'error' | 'warning'): string[] {
  const { line, column, endColumn = column + 1, excerpt } = place;
  if (excerpt === undefined || excerpt.trim() === '') return [];
  // A long line is cut before the mistake, so that the underlined part is always seen.
  const from = column > maxExcerpt - maxUnderline ? column - 1 - Math.floor(maxExcerpt / 2) : 0;
  const shown = printable(excerpt.slice(from, from + maxExcerpt)).trimEnd();
  const before = excerpt.slice(from, column - 1);
  const marked = Math.max(1, Math.min(codePoints(excerpt.slice(column - 1, endColumn - 1)), maxUnderline));
  const number = String(line);
  const padding = before.replace(/[^\t]/gu, ' ');
  return [
    `  ${style.faint(`${number} |`)} ${shown}`,
    `  ${style.faint(`${' '.repeat(number.length)} |`)} ${padding}${style[severity](`^${'~'.repeat(marked - 1)}`)}`,
  ];
}

const codePoints = (text: string) => text.replace(/./gsu, ' ').length;

/** Control characters of somebody's file must not steer the terminal. */
function printable(text: string): string {
  return text.replace(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g, '\ufffd');
}

export interface DiagnosticsDetail {
  readonly diagnostics: readonly Diagnostic[];
}

/** The thrown form: `diagnostics` in its detail, the first one in its message. */
export function diagnosticsError(
  code: 'ERR_UNIT_FILE' | 'ERR_GRAPH',
  diagnostics: readonly Diagnostic[],
): StartupError<DiagnosticsDetail> {
  const errors = diagnostics.filter(({ severity }) => severity === 'error');
  const [first] = errors;
  const rest = errors.length > 1 ? ` (and ${String(errors.length - 1)} more)` : '';
  const what = code === 'ERR_GRAPH' ? 'cannot order the units' : 'cannot load the unit files';
  const where = first === undefined ? '' : `: ${placeText(first)}: ${first.message}`;
  return new StartupError(code, `${what}${where}${rest}`, { diagnostics });
}

/** The diagnostics of an error made by {@link diagnosticsError}, else undefined. */
export function diagnosticsOf(error: unknown): readonly Diagnostic[] | undefined {
  if (!(error instanceof StartupError)) return undefined;
  const { diagnostics } = error.detail as Partial<DiagnosticsDetail>;
  return Array.isArray(diagnostics) ? diagnostics : undefined;
}
