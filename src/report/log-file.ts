/**
 * The log of k3s-lite itself: every event as a line of JSON, by pino, in `k3s-lite.log`. It lies beside the folder of the units' logs, where a unit could have that name.
 *
 * pino is imported when the log is opened, never before: `--version` and the other short commands
 * do not pay for it. Its own `err` serializer ignores `toJSON` and folds causes into one string
 * (measured), so ours is registered. Writing is asynchronous; `close` waits for the last line.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import path from 'node:path';
import { oneLine } from '../error/render.ts';
import { errorToJson } from '../error/startup-error.ts';
import type { Envelope, Event } from '../event/event.ts';
import { redactEvent } from '../event/envelope-json.ts';
import type { EventStream } from '../event/stream.ts';
import { unreachable } from '../kernel/unreachable.ts';
import { budgetText } from './plain-lines.ts';
import { rotateByName, type RotationLimits } from './rotate-by-name.ts';

export interface LogFileOptions {
  readonly events: EventStream;
  readonly logDir: string;
  /** Least level that is written (default info; debug has each passed health check). */
  readonly level?: 'debug' | 'info' | 'warn';
  /** Default: 10 MiB, three files. */
  readonly limits?: RotationLimits;
  /** Told once when the log cannot be written. */
  onError?(error: Error): void;
}

export interface LogFile extends AsyncDisposable {
  readonly file: string;
  /** Writes what is pending and closes the file. Idempotent. */
  close(): Promise<void>;
}

/** Secrets by their usual names, wherever an error's detail may carry them. */
const secretPaths = ['password', 'token', 'secret', 'authorization'].flatMap((name) => [
  name,
  `*.${name}`,
  `*.*.${name}`,
]);

/** Opens the log and subscribes to all events that the stream still has. Never throws: see `onError`. */
export async function openLogFile(options: LogFileOptions): Promise<LogFile> {
  const { events, logDir, level = 'info', limits, onError } = options;
  // The default export, because a bundle of CommonJS has no named ones.
  const { default: pino } = await import('pino');
  const file = path.join(logDir, 'k3s-lite.log');
  try {
    mkdirSync(logDir, { recursive: true, mode: 0o700 });
    // Only to see that it can be: the destination opens it again, also after each rotation.
    closeSync(openSync(file, 'a', 0o600));
  } catch (error) {
    onError?.(error as Error);
    return { file, close: () => Promise.resolve(), [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const destination = pino.destination({ dest: file, mode: 0o600, sync: false });
  rotateByName(destination, file, (error) => onError?.(error), limits);
  let isBroken = false;
  const ended = new Promise<void>((resolve) => {
    destination.once('close', resolve);
    destination.on('error', (error: Error) => {
      if (isBroken) return;
      isBroken = true;
      onError?.(error);
      // With what it could not write: at the end of the process it would try for ever (a full disk).
      destination.destroy();
    });
  });
  const log = pino(
    {
      level,
      base: { pid: process.pid },
      // The time of the event, not of its writing.
      timestamp: false,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: errorToJson },
      redact: { paths: secretPaths, censor: '***' },
    },
    destination,
  );
  const subscription = events.subscribe(
    {
      onEvent(envelope) {
        if (!isBroken) log[levelOf(envelope.event)](lineOf(envelope), messageOf(envelope.event));
      },
      onDropped(dropped) {
        if (!isBroken) log.warn({ dropped }, 'events dropped: this log is too slow');
      },
    },
    { since: 0 },
  );
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= (async () => {
      events.flush();
      subscription[Symbol.dispose]();
      if (!isBroken) destination.end();
      await ended;
    })();
    return closing;
  };
  return { file, close, [Symbol.asyncDispose]: close };
}

function lineOf({ seq, wallMs, monotonicMs, event }: Envelope): Record<string, unknown> {
  const at = { time: new Date(wallMs).toISOString(), seq, monotonicMs, type: event.type };
  switch (event.type) {
    case 'unit.failed':
      return { ...at, unit: event.unit, err: event.error };
    case 'notice': // Its level is the line's, its text the message.
      return event.unit === undefined ? at : { ...at, unit: event.unit };
    default:
      return { ...at, ...redactEvent(event) };
  }
}

function messageOf(event: Event): string {
  switch (event.type) {
    case 'notice':
      return event.text;
    case 'unit.failed':
      return oneLine(event.error);
    case 'budget.exceeded':
      return budgetText(event);
    default:
      return event.type;
  }
}

function levelOf(event: Event): 'debug' | 'info' | 'warn' | 'error' {
  switch (event.type) {
    case 'unit.failed':
      return 'error';
    case 'up.lost':
    case 'reload.refused':
    case 'leftover.found':
    case 'budget.exceeded':
    case 'unit.waiting':
      return 'warn';
    case 'notice':
      return event.level === 'warning' ? 'warn' : 'info';
    case 'reload.finished':
      return event.rolledBack.length === 0 ? 'info' : 'error';
    case 'down.finished':
      return event.leftovers.length === 0 ? 'info' : 'error';
    case 'unit.state':
      return isTrouble(event.snapshot.state) ? 'warn' : 'info';
    case 'probe.attempt':
      // A passed health check every few seconds would fill the file for years of good health.
      return event.phase === 'health' && event.attempt.outcome === 'ok' ? 'debug' : 'info';
    case 'probe.hint':
    case 'notify.status':
      return 'debug';
    case 'up.started':
    case 'up.ready':
    case 'control.asked':
    case 'reload.started':
    case 'down.started':
    case 'unit.gate':
    case 'process.spawned':
    case 'process.adopted':
    case 'process.exited':
    case 'process.stopping':
    case 'component.progress':
      return 'info';
    default:
      return unreachable(event);
  }
}

function isTrouble(state: string): boolean {
  return state === 'backoff' || state === 'failed' || state === 'blocked' || state === 'unhealthy';
}
