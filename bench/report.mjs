/** The results as a table for the terminal and as Markdown. */

import { goalHere, referenceMs } from './pace.mjs';

/** Measures of which more is better. */
const isMoreBetter = ({ unit, measure }) => unit === '×' && /^speed-up|share of haproxy’s$/.test(measure);

export function verdict(row) {
  const goal = goalHere(row);
  if (goal === undefined || row.n === 0) return '';
  return (isMoreBetter(row) ? row.median >= goal : row.median <= goal) ? 'reached' : 'missed';
}

function goalText(row) {
  if (row.goal === undefined) return '';
  const here = goalHere(row);
  return `${isMoreBetter(row) ? '≥' : '≤'} ${row.goal}${here === row.goal ? '' : `, here ${figure(here)}`}`;
}

/** Three digits that mean something, or whole numbers from 100 on. */
export function figure(value) {
  if (!Number.isFinite(value)) return '–';
  if (Math.abs(value) >= 100) return String(Math.round(value));
  return String(Number(value.toPrecision(3)));
}

const heads = ['what', 'measure', 'median', 'p90', 'runs', 'goal', '', 'compared with'];

function cells(row) {
  const others = Object.entries(row.others ?? {}).map(([name, value]) => `${name}: ${figure(value)}`);
  return [
    row.subject,
    row.measure,
    `${figure(row.median)} ${row.unit}`.trim(),
    figure(row.p90),
    String(row.n),
    goalText(row),
    verdict(row),
    row.note ?? others.join(' · '),
  ];
}

export function table(rows) {
  const lines = [heads, ...rows.map(cells)];
  const widths = heads.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function markdown(rows) {
  const line = (words) => `| ${words.join(' | ')} |`;
  return [line(heads), line(heads.map(() => '---')), ...rows.map((row) => line(cells(row)))].join('\n');
}

export function describeMachine({ date, commit, cores, cpu, memoryGb, kernel, node, load }, rows = []) {
  const paces = rows.flatMap(({ paceMs }) => (paceMs === undefined ? [] : [paceMs]));
  const pace =
    paces.length === 0
      ? ''
      : `; a shell starts 200 processes in ${figure(Math.min(...paces))} to ${figure(Math.max(...paces))} ms, ${referenceMs} ms where the goals in milliseconds were set`;
  return `${date}, commit ${commit}, ${cores} cores (${cpu}), ${memoryGb} GB, Linux ${kernel}, Node.js ${node}, load ${figure(load)} at the start${pace}`;
}
