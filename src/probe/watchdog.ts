/**
 * The watchdog of sd_notify as a source of health: the process was given WATCHDOG_USEC and has to
 * send WATCHDOG=1 within that time. Source: sd_notify(3), sd_watchdog_enabled(3).
 */
import { AttemptLog } from '../error/readiness-error.ts';
import type { Clock } from '../kernel/clock.ts';
import { formatDurationMs } from '../kernel/duration.ts';
import type { FailureContext } from './hints.ts';
import type { NotifySocket } from './notify-port.ts';
import { ProbeFailure } from './probe.ts';
import { readinessFailure } from './readiness-failure.ts';
import type { HealthChange } from './watch-health.ts';

export interface WatchdogOptions {
  readonly socket: NotifySocket;
  /** What the process was given as WATCHDOG_USEC, in milliseconds; it may ask for another by WATCHDOG_USEC=. */
  readonly intervalMs: number;
  readonly component: string;
  readonly generation: number;
  readonly clock: Clock;
  readonly onChange: (change: HealthChange) => void;
  readonly lastLogLines?: () => readonly string[];
  readonly holderOf?: FailureContext['holderOf'];
}

/** Watches from now on: the first ping is due after one interval. One timer, moved only when it fires. */
export function watchWatchdog(options: WatchdogOptions): Disposable {
  const { socket, clock, generation, onChange } = options;
  const startedMs = clock.monotonicMs();
  let timer: Disposable | undefined;
  let healthy = true;

  const lastPingMs = () => {
    const pingMs = socket.current.watchdogAtMs ?? startedMs;
    return pingMs === Number.NEGATIVE_INFINITY ? pingMs : Math.max(pingMs, startedMs);
  };
  const intervalMs = () => socket.current.watchdogMs ?? options.intervalMs;

  const look = () => {
    timer?.[Symbol.dispose]();
    timer = undefined;
    const leftMs = lastPingMs() + intervalMs() - clock.monotonicMs();
    if (leftMs > 0) {
      timer = clock.timer(leftMs, look);
      if (!healthy) {
        healthy = true;
        onChange({ healthy: true, generation });
      }
    } else if (healthy) {
      healthy = false;
      onChange({ healthy: false, generation, error: missed() });
    }
  };

  const missed = () => {
    const silentMs = Math.min(clock.monotonicMs() - lastPingMs(), clock.monotonicMs() - startedMs);
    const reason = Number.isFinite(lastPingMs())
      ? `no WATCHDOG=1 for ${formatDurationMs(silentMs)}`
      : 'says that its own watchdog has failed';
    const attempts = new AttemptLog();
    attempts.add({ at: clock.wallMs(), ms: 0, outcome: reason });
    const probe = { describe: () => 'watchdog', check: () => Promise.reject(new ProbeFailure(reason)) };
    return readinessFailure(
      { ...options, probe, phase: 'health' },
      { attempts, elapsedMs: silentMs, lastFailure: new ProbeFailure(reason) },
    );
  };

  const told = socket.subscribe((state) => {
    // While all is well the timer finds a later ping by itself; a ping every second needs no new timer.
    if (!healthy || state.watchdogAtMs === Number.NEGATIVE_INFINITY) look();
  });
  look();
  return {
    [Symbol.dispose]: () => {
      timer?.[Symbol.dispose]();
      told[Symbol.dispose]();
    },
  };
}
