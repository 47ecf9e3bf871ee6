/** `analyze` as text. Pure. */
import { createColors } from 'picocolors';
import { blame, criticalChain, type StartDiff, type StartRecord, type UnitDifference } from '../../app/read-starts.ts';
import { formatDurationMs } from '../../kernel/duration.ts';

/** All units by the time they needed themselves; the time they waited for others stands beside it. */
export function renderBlame(record: StartRecord, colour: boolean): string {
  const { dim, red } = createColors(colour);
  const rows = blame(record).map((each) => ({
    cells: [
      each.selfMs === undefined ? 'not ready' : formatDurationMs(each.selfMs),
      each.waitingMs === undefined ? '' : formatDurationMs(each.waitingMs),
      each.unit,
      [
        ...(each.restarts === 0 ? [] : [`${String(each.restarts)} restarts`]),
        ...(each.error === undefined ? [] : [each.error]),
      ].join('; '),
    ],
    isReady: each.selfMs !== undefined,
  }));
  const head = ['SELF', 'WAITED', 'UNIT', ''];
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map(({ cells }) => (cells[at] ?? '').length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, at) => (at < 2 ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd();
  return [
    headOf(record),
    dim(line(head)),
    ...rows.map(({ cells, isReady }) => (isReady ? line(cells) : red(line(cells)))),
  ].join('\n');
}

/** The units that decided when the start was over, first to last. */
export function renderChain(record: StartRecord, colour: boolean): string {
  const { dim, bold } = createColors(colour);
  const chain = criticalChain(record);
  const ownMs = chain.reduce((sum, { selfMs }) => sum + selfMs, 0);
  const widest = Math.max(0, ...chain.map(({ unit }) => unit.length));
  const lines = chain.map(({ unit, selfMs, gatesOpenAtMs, readyAtMs, overlaps }) => {
    const more = overlaps ? ', beside the next one' : '';
    const span = `+${formatDurationMs(gatesOpenAtMs)} to +${formatDurationMs(readyAtMs)}${more}`;
    return `${bold(unit.padEnd(widest))}  ${formatDurationMs(selfMs).padStart(8)}  ${dim(span)}`;
  });
  const rest = Math.max(0, record.totalMs - ownMs);
  return [headOf(record), ...lines, dim(`between them: ${formatDurationMs(rest)}`)].join('\n');
}

/** What changed significantly, then what did not. */
export function renderDiff(record: StartRecord, diff: StartDiff, colour: boolean): string {
  const style = createColors(colour);
  const paint: Record<UnitDifference['verdict'], (text: string) => string> = {
    'not ready': style.red,
    slower: style.red,
    new: style.yellow,
    faster: style.green,
    gone: style.yellow,
    same: style.dim,
  };
  const time = (ms: number | undefined) => (ms === undefined ? '–' : formatDurationMs(ms));
  const signed = (ms: number) => `${ms < 0 ? '-' : '+'}${formatDurationMs(Math.abs(ms))}`;
  const rows = diff.units.map(({ unit, beforeMs, nowMs, differenceMs, verdict }) => ({
    verdict,
    cells: [time(beforeMs), time(nowMs), differenceMs === undefined ? '' : signed(differenceMs), unit, verdict],
  }));
  const head = ['BEFORE', 'NOW', 'CHANGE', 'UNIT', ''];
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map(({ cells }) => (cells[at] ?? '').length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, at) => (at < 3 ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd();
  const against = diff.against === 1 ? 'an earlier start' : `the median of ${String(diff.against)} earlier starts`;
  const total = `${signed(diff.nowMs - diff.beforeMs)} against ${against} (${formatDurationMs(diff.beforeMs)})`;
  return [
    headOf(record),
    total,
    style.dim(line(head)),
    ...rows.map(({ cells, verdict }) => paint[verdict](line(cells))),
  ].join('\n');
}

function headOf({ startedAtMs, ready, totalMs }: StartRecord): string {
  const how = ready ? 'ready in' : 'not ready, given up after';
  return `start of ${new Date(startedAtMs).toISOString()}: ${how} ${formatDurationMs(totalMs)}`;
}
