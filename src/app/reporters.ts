/** Chooses who shows the events: JSON lines, plain lines, or the live tree; and keeps the log and the record. */
import type { EventStream } from '../event/stream.ts';
import { writeEvents } from '../event/write-events.ts';
import type { Clock } from '../kernel/clock.ts';
import { openLogFile, type LogFile } from '../report/log-file.ts';
import { plainReporter } from '../report/plain-lines.ts';
import type { Reporter } from '../report/reporter.ts';
import { startRecorder } from '../report/start-store.ts';
import { afterStart } from './after-start.ts';
import type { Paths } from './paths.ts';

export interface ReporterOptions {
  readonly events: EventStream;
  readonly clock: Clock;
  readonly paths: Paths;
  readonly json: boolean;
  readonly io: {
    out(text: string): void;
    readonly outIsTty: boolean;
    readonly columns: number;
    readonly colour: boolean;
  };
}

export interface Reporters extends AsyncDisposable {
  /** Prints a text of its own without disturbing what is shown. Not with --json. */
  say(text: string): void;
}

export async function startReporters({ events, clock, paths, json, io }: ReporterOptions): Promise<Reporters> {
  const view = json ? undefined : await viewOf({ clock, io });
  const subscriptions = [
    view === undefined ? writeEvents(events, process.stdout, 0) : events.subscribe(view, { since: 0 }),
    events.subscribe(startRecorder({ dir: paths.startsDir })),
  ];
  const log = lateLogFile({ events, clock, paths });
  return {
    say: (text) => view?.say(text),
    async [Symbol.asyncDispose]() {
      events.flush();
      view?.close();
      for (const subscription of subscriptions) subscription[Symbol.dispose]();
      await log.close();
    },
  };
}

/** The log is written from the stream's ring after the start: neither loading pino nor writing its lines delays one. */
function lateLogFile({ events, clock, paths }: Pick<ReporterOptions, 'events' | 'clock' | 'paths'>) {
  let opened: Promise<LogFile> | undefined;
  const open = () => {
    waiting[Symbol.dispose]();
    opened ??= openLogFile({
      events,
      clock,
      logDir: paths.dataDir,
      onError: ({ message }) =>
        events.emit({ type: 'notice', level: 'warning', text: `cannot write the log: ${message}` }),
    });
    return opened;
  };
  const waiting = afterStart({ events, clock }, () => void open());
  return { close: async () => (await open()).close() };
}

async function viewOf({ clock, io }: Pick<ReporterOptions, 'clock' | 'io'>): Promise<Reporter> {
  if (io.outIsTty) {
    const { liveView } = await import('../report/terminal/live-view.ts');
    return liveView({ stream: process.stdout, clock, colour: io.colour });
  }
  return plainReporter({ write: (text) => io.out(text), colour: io.colour });
}
