/**
 * The graph as DOT. The same graph gives the same text, whatever order the units came in, so that
 * it can be kept in a repository and compared.
 *
 * Arrows lead from a unit to what it needs; what starts first stands at the left.
 */
import { defaultMaxWaitMs, type EdgeKind, type Need } from '../unit/schema.ts';
import { unitStates } from '../unit/state.ts';
import { formatDurationMs } from '../kernel/duration.ts';
import type { LiveUnit } from './critical-path.ts';
import { waits } from './start-order.ts';
import { stateColours } from './state-colours.ts';
import type { UnitGraph } from './unit-graph.ts';

export interface DotOptions {
  /** Snapshots of a running k3s-lite: units are coloured by their states. */
  readonly live?: readonly LiveUnit[];
  /** Units of the critical path, first to last: drawn bold. */
  readonly criticalPath?: readonly string[];
  /** Only these units (and the edges between them). */
  readonly only?: readonly string[];
}

const edgeStyles: Readonly<Record<EdgeKind, string>> = {
  hard: 'style=solid',
  soft: 'style=dashed, arrowhead=empty',
  parallel: 'style=dotted, arrowhead=open, constraint=false',
};

export function toDot(graph: UnitGraph, options: DotOptions = {}): string {
  const live = new Map(options.live?.map((unit) => [unit.unit, unit]));
  const critical = options.criticalPath ?? [];
  const shown = new Set(options.only ?? graph.order);
  const lines = [
    'digraph "k3s-lite" {',
    '  graph [rankdir=RL, newrank=true, nodesep=0.3, ranksep=0.7, fontname="Helvetica,Arial,sans-serif"];',
    '  node [shape=box, style="rounded,filled", fillcolor=white, fontname="Helvetica,Arial,sans-serif", fontsize=11, margin="0.3,0.09"];',
    '  edge [fontname="Helvetica,Arial,sans-serif", fontsize=9, color="#444444"];',
  ];
  graph.levels.forEach((level, index) => {
    const names = level.filter((name) => shown.has(name)).sort();
    if (names.length === 0) return;
    lines.push('', `  subgraph "level ${String(index)}" {`, '    rank=same;');
    for (const name of names)
      lines.push(`    ${quote(name)} [${nodeAttributes(graph, name, live.get(name), critical)}];`);
    lines.push('  }');
  });
  lines.push('');
  for (const name of [...shown].sort()) {
    const needs = graph.needs(name).filter((need) => shown.has(need.unit));
    for (const need of needs.toSorted((a, b) => (a.unit < b.unit ? -1 : 1))) {
      lines.push(
        `  ${quote(name)} -> ${quote(need.unit)} [${edgeAttributes(need, isStep(critical, need.unit, name))}];`,
      );
    }
  }
  lines.push('', ...legend(graph, [...shown], options.live !== undefined, critical.length > 0), '}', '');
  return lines.join('\n');
}

function nodeAttributes(
  graph: UnitGraph,
  name: string,
  live: LiveUnit | undefined,
  critical: readonly string[],
): string {
  const unit = graph.unit(name);
  const text = [name, ...wrap(unit.about)];
  const attributes: string[] = [];
  if (live !== undefined) {
    text.push(live.state, ...live.degraded.map((lack) => `degraded: without ${lack.unit}`));
    attributes.push(`fillcolor="${stateColours[live.state]}"`);
    if (live.degraded.length > 0) attributes.push('peripheries=2', 'color="#c05000"');
  }
  if (unit.kind !== 'service') attributes.push(`shape=${unit.kind === 'task' ? 'cds' : 'component'}`);
  if (critical.includes(name)) attributes.push('penwidth=3');
  return [`label=${quoteLabel(text)}`, `tooltip=${quoteLabel([`${unit.kind} ${name}`])}`, ...attributes].join(', ');
}

/** Lines of some 28 characters, so that the boxes of a rank stay narrow. */
function wrap(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < 28) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function edgeAttributes(need: Need, isCritical: boolean): string {
  const attributes = [edgeStyles[need.kind], ...(need.kind === 'soft' && !waits(need) ? ['constraint=false'] : [])];
  const label = edgeNote(need);
  if (label !== '') attributes.push(`label=${quoteLabel([label])}`);
  if (isCritical) attributes.push('penwidth=3', 'color="#000000"');
  return attributes.join(', ');
}

/** What is not the default of an edge: "until started, on loss restart", "at most 5.0 s", "no wait". */
export function edgeNote(need: Need): string {
  switch (need.kind) {
    case 'hard':
      return [
        ...(need.until === 'started' ? ['until started'] : []),
        ...(need.onLoss === 'keep' ? [] : [`on loss ${need.onLoss}`]),
      ].join(', ');
    case 'soft':
      if (need.maxWaitMs === 0) return 'no wait';
      return need.maxWaitMs === defaultMaxWaitMs ? '' : `at most ${formatDurationMs(need.maxWaitMs)}`;
    case 'parallel':
      return '';
  }
}

/** Whether `first`, `second` follow each other on `path`. */
const isStep = (path: readonly string[], first: string, second: string) =>
  path.some((name, index) => name === first && path[index + 1] === second);

function legend(graph: UnitGraph, shown: readonly string[], isLive: boolean, hasPath: boolean): string[] {
  const row = (sign: string, text: string, colour = 'white') =>
    `<tr><td bgcolor="${colour}">${sign}</td><td align="left">${text}</td></tr>`;
  const rows = [
    row('───', 'hard: waits until it is ready'),
    row('- - -', 'soft: waits a time, starts without it'),
    row('· · ·', 'parallel: starts together'),
    ...(shown.some((name) => graph.unit(name).kind === 'task') ? [row('▷', 'task: runs to its end')] : []),
    ...(shown.some((name) => graph.unit(name).kind === 'builtin') ? [row('⊟', 'builtin: a function of k3s-lite')] : []),
    ...(hasPath ? [row('<b>━━━</b>', 'critical path')] : []),
    ...(isLive ? unitStates.map((state) => row(' ', state, stateColours[state])) : []),
    ...(isLive ? [row('▣', 'double border: degraded')] : []),
  ];
  return [
    '  "edges and states" [shape=plaintext, style="", fontsize=9, label=<',
    '    <table border="1" cellborder="0" cellspacing="2" color="#aaaaaa">',
    ...rows.map((text) => `      ${text}`),
    '    </table>',
    '  >];',
  ];
}

/** A double-quoted DOT string. Source: Graphviz, "The DOT Language": only `"` needs its backslash. */
function quote(text: string): string {
  return `"${printable(text).replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/** A label of lines; backslashes and entities (`&lt;`) in the text stay as they are written. */
function quoteLabel(lines: readonly string[]): string {
  const escaped = lines.map((line) =>
    printable(line).replaceAll('&', '&amp;').replaceAll('\\', '\\\\').replaceAll('"', '\\"'),
  );
  return `"${escaped.join('\\n')}"`;
}

/** Line ends and other control characters would be drawn as nothing, or break the SVG. */
const printable = (text: string) => text.replace(/[\u0000-\u001f\u007f-\u009f\ufffe\uffff]|\p{Surrogate}/gu, ' ');
