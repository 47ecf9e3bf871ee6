/** `status` as text. Pure. */
import { createColors } from 'picocolors';
import type { Status, WireSnapshot, WireUsage } from '../../control/protocol.ts';
import { rootLine } from '../../error/render.ts';
import { shorten } from '../../error/text.ts';
import { formatBytes } from '../../kernel/bytes.ts';
import { formatDurationMs } from '../../kernel/duration.ts';

export interface StatusStyle {
  readonly colour: boolean;
  /** Without it nothing is cut. */
  readonly width?: number;
}

const titles = ['UNIT', 'STATE', 'FOR', 'PID', 'RESTARTS'];
const usageTitles = ['CPU', 'MEMORY', 'PEAK'];
/** They are aligned on the left, columns of numbers on the right. */
const texts = new Set(['UNIT', 'STATE', 'DETAIL']);

export function renderStatus(status: Status, { colour, width = Number.POSITIVE_INFINITY }: StatusStyle): string {
  const style = createColors(colour);
  const { instance, ready, now, units } = status;
  const rows = units.map((unit) => ({ unit, cells: cellsOf(unit, now.monotonicMs, status.usage) }));
  const head = [...titles, ...(status.usage === undefined ? [] : usageTitles), 'DETAIL'];
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map(({ cells }) => (cells[at] ?? '').length)));
  const line = (cells: readonly string[]) =>
    shorten(
      cells
        .map((cell, at) => (texts.has(head[at] ?? '') ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
        .join('  ')
        .trimEnd(),
      width,
    );
  const paint = (unit: WireSnapshot) => {
    switch (unit.state) {
      case 'ready':
      case 'done':
        return unit.degraded.length === 0 ? style.green : style.yellow;
      case 'failed':
      case 'blocked':
        return style.red;
      case 'backoff':
      case 'unhealthy':
        return style.yellow;
      case 'starting':
      case 'stopping':
        return style.cyan;
      case 'waiting':
      case 'inactive':
      case 'stopped':
        return style.dim;
    }
  };
  const since = formatDurationMs(Math.max(0, now.wallMs - instance.startedAtMs));
  const up = units.filter(({ state }) => state === 'ready' || state === 'done').length;
  // What rests until something needs it is not missing.
  const meant = units.filter(({ desired, state }) => desired === 'up' || state !== 'inactive').length;
  const about = `k3s-lite ${instance.version}, pid ${String(instance.pid)}, up for ${since}, data in ${instance.dataDir}`;
  const verdict = ready ? style.green('ready') : style.yellow('not ready');
  const place = [
    ...(instance.nodeName === undefined ? [] : [`node ${instance.nodeName}`]),
    ...(instance.kubeconfig === undefined ? [] : [`kubeconfig ${instance.kubeconfig}`]),
  ];
  return [
    about,
    ...(place.length === 0 ? [] : [place.join(', ')]),
    `${verdict}: ${String(up)} of ${String(meant)} units`,
    '',
    style.dim(line(head)),
    ...rows.map(({ unit, cells }) => paint(unit)(line(cells))),
  ].join('\n');
}

function cellsOf(unit: WireSnapshot, nowMs: number, usage: Status['usage']): string[] {
  return [
    unit.unit,
    unit.state,
    unit.state === 'inactive' ? '' : formatDurationMs(Math.max(0, nowMs - unit.since.monotonicMs)),
    unit.pid === undefined ? '' : String(unit.pid),
    unit.restarts === 0 ? '' : String(unit.restarts),
    ...(usage === undefined ? [] : usageCells(usage[unit.unit])),
    detailOf(unit, nowMs),
  ];
}

function usageCells(usage: WireUsage | undefined): string[] {
  if (usage === undefined) return usageTitles.map(() => '');
  const { cpuSeconds, memoryBytes, memoryPeakBytes } = usage;
  const peak = memoryPeakBytes === undefined ? '' : formatBytes(memoryPeakBytes);
  return [formatDurationMs(cpuSeconds * 1000), formatBytes(memoryBytes), peak];
}

function detailOf(unit: WireSnapshot, nowMs: number): string {
  const { state, waitingFor, degraded, lastError, nextRetryAt, status, stoppedByUser } = unit;
  const parts: string[] = [];
  if (stoppedByUser === true) parts.push('stopped by the user');
  else if (state === 'waiting') {
    const gates = waitingFor.map((gate) => (gate.kind === 'hard' ? gate.unit : `${gate.unit} (${gate.kind})`));
    if (gates.length > 0) parts.push(`waits for ${gates.join(', ')}`);
  } else if (lastError !== undefined) {
    parts.push(state === 'blocked' ? `by ${String(lastError['reason'])}: ${rootLine(lastError)}` : rootLine(lastError));
  }
  if (nextRetryAt !== undefined) {
    parts.push(`next try in ${formatDurationMs(Math.max(0, nextRetryAt.monotonicMs - nowMs))}`);
  }
  for (const each of degraded) parts.push(`without ${each.unit} (${each.reason})`);
  if (parts.length === 0 && status !== undefined) parts.push(status);
  return parts.join('; ');
}
