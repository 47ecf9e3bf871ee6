/** An event of the control socket as one line: number, time, unit, what, and its values. Pure. */
import { snapshotSchema, type EventLine } from '../../control/protocol.ts';
import { isErrorJson } from '../../error/from-json.ts';
import { oneLine } from '../../error/render.ts';
import { singleLine } from '../../error/text.ts';

/** `42 12:00:01.250 etcd unit.state starting → ready, generation 1, pid 812`. Events of a newer server are shown too. */
export function eventText(line: EventLine): string {
  if ('dropped' in line) return `(${String(line.dropped)} events dropped: they are no longer kept)`;
  const { seq, wallMs, event } = line;
  const { type, unit, ...values } = event;
  const time = new Date(wallMs).toISOString().slice(11, 23);
  const words = type === 'unit.state' ? stateText(values) : valuesText(values);
  return [String(seq), time, ...(typeof unit === 'string' ? [unit] : []), type, words].filter(Boolean).join(' ');
}

function stateText({ from, snapshot }: Readonly<Record<string, unknown>>): string {
  const parsed = snapshotSchema.safeParse(snapshot).data;
  if (parsed === undefined) return '';
  const { state, generation, pid, lastError, waitingFor, degraded, stoppedByUser } = parsed;
  const change = from === state || typeof from !== 'string' ? state : `${from} → ${state}`;
  return [
    `${change}, generation ${String(generation)}`,
    ...(pid === undefined ? [] : [`pid ${String(pid)}`]),
    ...(stoppedByUser === true ? ['stopped by the user'] : []),
    ...(waitingFor.length === 0 ? [] : [`waits for ${waitingFor.map((gate) => gate.unit).join(', ')}`]),
    ...(degraded.length === 0 ? [] : [`without ${degraded.map((each) => each.unit).join(', ')}`]),
    ...(lastError === undefined ? [] : [oneLine(lastError)]),
  ].join(', ');
}

function valuesText(values: Readonly<Record<string, unknown>>): string {
  return Object.entries(values)
    .map(([key, value]) => `${key}=${valueText(value)}`)
    .join(' ');
}

function valueText(value: unknown): string {
  if (typeof value === 'string') return singleLine(value);
  if (isErrorJson(value)) return oneLine(value);
  return JSON.stringify(value);
}
