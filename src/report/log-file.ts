/**
 * The log of k3s-lite itself: every event as a line of JSON, by pino, in `k3s-lite.log`. It lies beside the folder of the units' logs, where a unit could have that name.
 *
 * pino is imported when the log is opened, never before: `--version` and the other short commands
 * do not pay for it. Its own `err` serializer ignores `toJSON` and folds causes into one string
 * (measured), so errors come to it as JSON (without-secrets). Writing is asynchronous; `close` waits for the last line.
 */
import path from 'node:path';
import { oneLine } from '../error/render.ts';
import type { Envelope, Event } from '../event/event.ts';
import { redactEvent } from '../event/envelope-json.ts';
import type { EventStream } from '../event/stream.ts';
import type { Clock } from '../kernel/clock.ts';
import { unreachable } from '../kernel/unreachable.ts';
import { budgetText } from './plain-lines.ts';
import { openLogWriter, type LogWriter } from './log-writer.ts';
import type { RotationLimits } from './rotate-by-name.ts';

export interface LogFileOptions {
  readonly events: EventStream;
  readonly clock: Clock;
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

/** How long after a failed write another one is tried, in milliseconds: a try costs some system calls. */
const retryAfterMs = 1000;

/**
 * Opens the log and subscribes to all events that the stream still has. Never throws: see `onError`.
 * After a failed write (a full disk) it goes on where the file ends, as soon as there is room; what the
 * stream has no more is told as dropped.
 */
export async function openLogFile(options: LogFileOptions): Promise<LogFile> {
  const { events, clock, logDir, level = 'info', limits, onError } = options;
  // The default export, because a bundle of CommonJS has no named ones.
  const { default: pino } = await import('pino');
  const file = path.join(logDir, 'k3s-lite.log');
  let isTold = false;
  let hasWritten = false;
  /** The first event that no writer has been given. */
  let nextSeq = 0;
  let writer: LogWriter | undefined;
  let subscription: Disposable | undefined;
  let retry: Disposable | undefined;

  const begin = () => {
    const opened = openLogWriter(pino, {
      ...{ file, level, limits },
      onBroken(error) {
        writer = undefined;
        subscription?.[Symbol.dispose]();
        retry = clock.timer(retryAfterMs, begin);
        if (!isTold) onError?.(error);
        isTold = true;
      },
      onWritten(isAll) {
        hasWritten = true;
        // Not at a part: the first bytes of a line may have room where the rest has none.
        if (isAll) isTold = false;
      },
      onNotRotated: (error) => onError?.(error),
    });
    if (opened === undefined) return;
    writer = opened;
    const since = hasWritten ? (seqAfter(opened.lastLine) ?? nextSeq) : 0;
    subscription = events.subscribe(
      {
        onEvent(envelope) {
          nextSeq = envelope.seq + 1;
          opened.log[levelOf(envelope.event)](lineOf(envelope), messageOf(envelope.event));
        },
        onDropped(dropped) {
          opened.log.warn({ dropped }, 'events dropped: this log is too slow, or could not be written');
        },
      },
      { since },
    );
  };
  begin();
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= (async () => {
      events.flush();
      retry?.[Symbol.dispose]();
      subscription?.[Symbol.dispose]();
      await writer?.end();
    })();
    return closing;
  };
  return { file, close, [Symbol.asyncDispose]: close };
}

/** The event after that of a line of ours. */
function seqAfter(line: string): number | undefined {
  const seq = /"seq":(\d+),/.exec(line)?.[1];
  return seq === undefined ? undefined : Number(seq) + 1;
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
    case 'notify.figures':
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
