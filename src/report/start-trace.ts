/**
 * The record of a start as trace events, for Perfetto (ui.perfetto.dev) and chrome://tracing: a row a
 * unit, a slice a stage, and an arrow from each unit to those whose last gate it opened. Pure.
 * Source: "Trace Event Format", https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
 */
import { criticalChain, type StartRecord } from './start-record.ts';
import { spansOf } from './start-spans.ts';

/** Times in microseconds. */
export interface TraceEvent {
  readonly name: string;
  /** X: slice, M: name of a row, s and f: begin and end of an arrow, i: a moment. */
  readonly ph: 'X' | 'M' | 's' | 'f' | 'i';
  readonly pid: number;
  readonly tid: number;
  readonly ts?: number;
  readonly dur?: number;
  readonly cat?: string;
  readonly id?: number;
  readonly bp?: 'e';
  readonly s?: 'g';
  readonly args?: Readonly<Record<string, unknown>>;
}

export interface Trace {
  readonly displayTimeUnit: 'ms';
  readonly traceEvents: readonly TraceEvent[];
  readonly otherData: Readonly<Record<string, unknown>>;
}

const pid = 1;
const us = (ms: number) => Math.round(ms * 1000);

export function startTrace(record: StartRecord): Trace {
  const critical = new Set(criticalChain(record).map(({ unit }) => unit));
  const rows = new Map(record.units.map(({ name }, index) => [name, index + 1]));
  const traceEvents: TraceEvent[] = [
    { name: 'process_name', ph: 'M', pid, tid: 0, args: { name: 'k3s-lite up' } },
    { name: 'thread_name', ph: 'M', pid, tid: 0, args: { name: 'start' } },
  ];
  for (const [index, unit] of record.units.entries()) {
    const { name, kind, state, attempts, restarts, openedBy, error } = unit;
    const tid = index + 1;
    const at = { pid, tid };
    traceEvents.push(
      { name: 'thread_name', ph: 'M', ...at, args: { name } },
      { name: 'thread_sort_index', ph: 'M', ...at, args: { sort_index: tid } },
    );
    const args = { unit: name, kind, state, critical: critical.has(name), attempts, restarts, openedBy, error };
    for (const { stage, fromMs, toMs } of spansOf(unit, record)) {
      traceEvents.push({ name: stage, ph: 'X', cat: stage, ...at, ts: us(fromMs), dur: us(toMs) - us(fromMs), args });
    }
    const opener = openedBy === undefined ? undefined : rows.get(openedBy);
    if (opener === undefined || unit.gatesOpenAtMs === undefined) continue;
    const arrow = { name: 'opens the gate', cat: 'gate', id: tid, pid, ts: us(unit.gatesOpenAtMs) };
    traceEvents.push({ ...arrow, ph: 's', tid: opener }, { ...arrow, ph: 'f', bp: 'e', tid });
  }
  const end = record.ready ? 'everything is ready' : 'given up';
  traceEvents.push({ name: end, ph: 'i', s: 'g', pid, tid: 0, ts: us(record.totalMs) });
  return {
    displayTimeUnit: 'ms',
    traceEvents,
    otherData: { startedAt: new Date(record.startedAtMs).toISOString(), ready: record.ready, totalMs: record.totalMs },
  };
}
