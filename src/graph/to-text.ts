/** The graph for a terminal: levels in start order, and under each unit what it needs and how. */
import type { Need } from '../unit/schema.ts';
import type { DotOptions } from './to-dot.ts';
import { edgeNote } from './to-dot.ts';
import type { UnitGraph } from './unit-graph.ts';

const arrows: Readonly<Record<Need['kind'], string>> = { hard: '──▶', soft: '╌╌▷', parallel: '··▹' };

export function toText(graph: UnitGraph, options: DotOptions = {}): string {
  const live = new Map(options.live?.map((unit) => [unit.unit, unit]));
  const critical = new Set(options.criticalPath);
  const shown = new Set(options.only ?? graph.order);
  const width = Math.max(0, ...[...shown].map((name) => name.length));
  const lines: string[] = [];
  graph.levels.forEach((level, index) => {
    const names = level.filter((name) => shown.has(name));
    if (names.length === 0) return;
    lines.push(`level ${String(index)}`);
    for (const name of names) {
      const { about, kind } = graph.unit(name);
      const unit = live.get(name);
      const marks = [
        ...(kind === 'service' ? [] : [kind]),
        ...(unit === undefined ? [] : [unit.state]),
        ...(unit?.degraded ?? []).map((lack) => `degraded: without ${lack.unit}`),
      ];
      const mark = marks.length === 0 ? '' : ` [${marks.join(', ')}]`;
      lines.push(`${critical.has(name) ? '*' : ' '} ${name.padEnd(width)}  ${about}${mark}`);
      for (const need of graph.needs(name).filter((each) => shown.has(each.unit))) {
        const note = edgeNote(need);
        lines.push(`      ${arrows[need.kind]} ${need.unit}  ${need.kind}${note === '' ? '' : ` (${note})`}`);
      }
    }
  });
  if (critical.size > 0) lines.push('', '* critical path');
  return `${lines.join('\n')}\n`;
}
