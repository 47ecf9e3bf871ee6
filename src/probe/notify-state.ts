/** What sd_notify datagrams mean, as a pure fold. Source: sd_notify(3). */
import { oneLine } from './outcome.ts';
import type { NotifyState } from './notify-port.ts';

/** systemd reads no longer datagram either. Source: NOTIFY_BUFFER_MAX of systemd (PIPE_BUF). */
export const maxDatagramBytes = 4096;

export const silentState: NotifyState = {
  ready: false,
  stopping: false,
  status: undefined,
  mainPid: undefined,
  extendedUntilMs: undefined,
  watchdogAtMs: undefined,
  errno: undefined,
};

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The state after a datagram received at `nowMs` (monotonic); undefined when nothing in it was understood. */
export function readDatagram(state: NotifyState, datagram: Uint8Array, nowMs: number): NotifyState | undefined {
  if (datagram.length === 0 || datagram.length > maxDatagramBytes) return undefined;
  let text: string;
  try {
    text = utf8.decode(datagram);
  } catch {
    return undefined;
  }
  let next = state;
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=');
    if (equals > 0) next = applyField(next, line.slice(0, equals), line.slice(equals + 1), nowMs) ?? next;
  }
  return next === state ? undefined : next;
}

/** Fields that need no answer (BARRIER, FDSTORE, RELOADING…) and unknown ones are passed over. */
function applyField(state: NotifyState, key: string, value: string, nowMs: number): NotifyState | undefined {
  switch (key) {
    case 'READY':
      return value === '1' ? { ...state, ready: true } : undefined;
    case 'STOPPING':
      return value === '1' ? { ...state, stopping: true } : undefined;
    case 'STATUS':
      return { ...state, status: oneLine(value) };
    case 'X_WARNING':
      return { ...state, warning: oneLine(value) };
    case 'X_FIGURES':
      return { ...state, figures: figuresOf(value) };
    case 'ERRNO':
      return withNumber(value, (errno) => ({ ...state, errno }));
    case 'MAINPID':
      return withNumber(value, (mainPid) => (mainPid > 0 ? { ...state, mainPid } : undefined));
    case 'EXTEND_TIMEOUT_USEC':
      return withNumber(value, (us) => ({
        ...state,
        extendedUntilMs: Math.max(state.extendedUntilMs ?? 0, nowMs + us / 1000),
      }));
    case 'WATCHDOG':
      // "trigger" says that the process itself has found its watchdog failed: as if it never pinged.
      if (value === 'trigger') return { ...state, watchdogAtMs: Number.NEGATIVE_INFINITY };
      return value === '1' ? { ...state, watchdogAtMs: nowMs } : undefined;
    case 'WATCHDOG_USEC':
      return withNumber(value, (us) => (us > 0 ? { ...state, watchdogMs: us / 1000 } : undefined));
    default:
      return undefined;
  }
}

/** "fsync_p99_seconds=0.004 leader_changes=1": what is no such pair is passed over. */
function figuresOf(text: string): Readonly<Record<string, number>> {
  const pairs = [...text.matchAll(/(?:^| )([a-z][a-z0-9_]{0,63})=(-?\d[\d.e+-]{0,31})(?= |$)/g)];
  const figures = pairs.map(([, name = '', value]): [string, number] => [name, Number(value)]);
  return Object.fromEntries(figures.filter(([, value]) => Number.isFinite(value)));
}

function withNumber(value: string, apply: (number: number) => NotifyState | undefined): NotifyState | undefined {
  return /^\d{1,15}$/.test(value) ? apply(Number(value)) : undefined;
}
