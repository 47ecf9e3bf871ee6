/**
 * The record of a start as a picture: a bar a unit, its stages by colour, the critical chain bold
 * and outlined. Pure, and the same for the same record: it can be compared in a test or a review.
 */
import { formatDurationMs } from '../kernel/duration.ts';
import { criticalChain, type RecordedUnit, type StartRecord } from './start-record.ts';
import { spansOf, type SpanStage } from './start-spans.ts';

const colours: Record<SpanStage, string> = {
  waiting: '#d9dde3',
  spawn: '#f2b705',
  'until ready': '#3b7dd8',
  ready: '#bfe3c5',
  failing: '#d64545',
};

/** In pixels. */
const size = { margin: 20, head: 66, row: 22, bar: 14, plot: 900, label: 7.2, legend: 110 } as const;

export function startPlot(record: StartRecord): string {
  const critical = new Set(criticalChain(record).map(({ unit }) => unit));
  const totalMs = Math.max(record.totalMs, 1);
  const longest = Math.max(0, ...record.units.map((unit) => labelOf(unit).length));
  const left = size.margin + Math.ceil(longest * size.label) + 8;
  const width = left + size.plot + size.margin;
  const bottom = size.head + record.units.length * size.row;
  const x = (ms: number) => pixels(left + (ms / totalMs) * size.plot);
  const end = record.ready ? 'ready in' : 'not ready, given up after';
  const title = `start of ${new Date(record.startedAtMs).toISOString()}: ${end} ${formatDurationMs(record.totalMs)}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${String(width)}" height="${String(bottom + size.margin)}" font-family="monospace" font-size="12">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="100%" height="100%" fill="white"/>`,
    `<text x="${String(size.margin)}" y="22" font-size="14">${escaped(title)}</text>`,
    ...legend(left),
    ...ticksMs(totalMs).flatMap((ms) => [
      `<line x1="${x(ms)}" y1="${String(size.head - 4)}" x2="${x(ms)}" y2="${String(bottom)}" stroke="#e3e6ea"/>`,
      `<text x="${x(ms)}" y="${String(size.head - 8)}" fill="#667" text-anchor="middle">${tickText(ms)}</text>`,
    ]),
    ...record.units.flatMap((unit, index) => {
      const isCritical = critical.has(unit.name);
      const top = size.head + index * size.row + (size.row - size.bar) / 2;
      const frame = isCritical ? ' stroke="black" stroke-width="1.5"' : '';
      return [
        `<text x="${String(left - 8)}" y="${String(top + size.bar - 3)}" text-anchor="end"${isCritical ? ' font-weight="bold"' : ''}>${escaped(labelOf(unit))}</text>`,
        ...spansOf(unit, record).map(({ stage, fromMs, toMs }) => {
          const isOwn = stage !== 'waiting' && stage !== 'ready';
          const tip = `${unit.name}: ${stage} ${formatDurationMs(toMs - fromMs)}`;
          return `<rect x="${x(fromMs)}" y="${String(top)}" width="${pixels(((toMs - fromMs) / totalMs) * size.plot)}" height="${String(size.bar)}" fill="${colours[stage]}"${isOwn ? frame : ''}><title>${escaped(tip)}</title></rect>`;
        }),
      ];
    }),
    '</svg>',
  ].join('\n');
}

function labelOf({ name, selfMs, restarts }: RecordedUnit): string {
  const own = selfMs === undefined ? 'not ready' : formatDurationMs(selfMs);
  return `${name} ${own}${restarts === 0 ? '' : ` (${String(restarts)} restarts)`}`;
}

function legend(left: number): string[] {
  return Object.entries(colours).flatMap(([stage, colour], index) => {
    const x = left + index * size.legend;
    return [
      `<rect x="${String(x)}" y="32" width="10" height="10" fill="${colour}"/>`,
      `<text x="${String(x + 14)}" y="41" fill="#445">${stage}</text>`,
    ];
  });
}

/** At most ten, at round times: 1, 2 or 5 times a power of ten. */
function ticksMs(totalMs: number): readonly number[] {
  const rough = totalMs / 10;
  const power = 10 ** Math.floor(Math.log10(rough));
  const stepMs = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  return Array.from({ length: Math.floor(totalMs / stepMs) + 1 }, (_none, index) => index * stepMs);
}

const tickText = (ms: number) =>
  ms >= 1000 ? `${String(Number((ms / 1000).toFixed(2)))} s` : `${String(Number(ms.toFixed(2)))} ms`;
const pixels = (value: number) => String(Number(value.toFixed(2)));

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
