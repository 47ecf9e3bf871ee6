/**
 * k3s-lite as a service of systemd (or of whoever sets NOTIFY_SOCKET): connects the fold of
 * report/notify-upward.ts with the socket, and answers the watchdog. Nothing is loaded, and no timer
 * runs, unless the manager asks. Units never see its variables (process/child-env.ts).
 */
import type { DgramSocket } from 'node-unix-socket';
import type { Executor } from '../executor/executor-api.ts';
import { dgramSocket } from '../probe/dgram-socket.ts';
import { noticeTo } from '../event/notice.ts';
import type { EventStream } from '../event/stream.ts';
import type { Clock } from '../kernel/clock.ts';
import { notifyUpward } from '../report/notify-upward.ts';
import type { UnitSnapshot } from '../unit/state.ts';

export interface ServiceManagerOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly events: EventStream;
  readonly clock: Clock;
  readonly executor: Pick<Executor, 'snapshots'>;
  readonly pid: number;
}

/** Disposing closes the socket; what was sent before arrives. */
export function connectServiceManager({ env, events, clock, executor, pid }: ServiceManagerOptions): Disposable {
  const path = env['NOTIFY_SOCKET'];
  if (path === undefined || path === '') return { [Symbol.dispose]: () => undefined };
  const warn = noticeTo(events, 'warning');
  if (!path.startsWith('/')) {
    // node-unix-socket sends to the abstract name with all its 107 bytes, which is another one (tried).
    warn(`NOTIFY_SOCKET is ${path}: only a socket with a path can be told; the service manager will hear nothing`);
    return { [Symbol.dispose]: () => undefined };
  }
  const socket = openSocket();
  let isBroken = false;
  const send = (lines: readonly string[]) => {
    if (isBroken) return;
    const message = Buffer.from(lines.join('\n'));
    socket.sendTo(message, 0, message.length, path, (error) => {
      if (error === undefined || isBroken) return;
      isBroken = true;
      warn(`the service manager cannot be told anything on ${path}: ${error.message}`);
    });
  };
  // Of the system and not since our start, as the clock's are. Source: process.hrtime of Node.js is CLOCK_MONOTONIC.
  const monotonicUsec = () => process.hrtime.bigint() / 1000n;
  const upward = notifyUpward({ clock, send, pid, monotonicUsec });
  const subscription = events.subscribe(upward);
  const watchdog = answerWatchdog({ env, clock, executor, pid, ping: () => send(['WATCHDOG=1']) });
  return {
    [Symbol.dispose]() {
      watchdog[Symbol.dispose]();
      subscription[Symbol.dispose]();
      upward[Symbol.dispose]();
      isBroken = true;
      socket.close();
    },
  };
}

function openSocket(): DgramSocket {
  const socket = dgramSocket();
  socket.on('error', () => undefined); // Told by the callback of each message.
  return socket;
}

interface WatchdogOptions extends Pick<ServiceManagerOptions, 'env' | 'clock' | 'executor' | 'pid'> {
  ping(): void;
}

/**
 * WATCHDOG=1 at half of what is asked for (source: sd_watchdog_enabled(3)). The timer proves that the
 * event loop turns; that the executor works is seen from its units: see {@link isStuck}.
 */
function answerWatchdog({ env, clock, executor, pid, ping }: WatchdogOptions): Disposable {
  const everyMs = Number(env['WATCHDOG_USEC'] ?? 0) / 2000;
  const meant = env['WATCHDOG_PID'];
  const isAsked = everyMs > 0 && Number.isFinite(everyMs) && (meant === undefined || meant === String(pid));
  if (!isAsked) return { [Symbol.dispose]: () => undefined };
  let timer: Disposable;
  const look = () => {
    if (!executor.snapshots().some((unit) => isStuck(unit, clock.monotonicMs(), everyMs))) ping();
    timer = clock.timer(everyMs, look);
  };
  look();
  return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
}

/** A unit that should have moved long ago by itself: its retry is overdue, or it waits for nothing. */
export function isStuck(unit: UnitSnapshot, nowMs: number, graceMs: number): boolean {
  const { state, desired, since, nextRetryAt, waitingFor } = unit;
  if (desired === 'down') return false;
  if (nextRetryAt !== undefined && nowMs - nextRetryAt.monotonicMs > graceMs) return true;
  return state === 'waiting' && waitingFor.length === 0 && nowMs - since.monotonicMs > graceMs;
}
