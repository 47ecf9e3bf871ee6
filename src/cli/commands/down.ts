/**
 * `k3s-lite down`: asks the running k3s-lite to stop and follows it to its end. When that was killed, it stops
 * what lives on by itself.
 *
 * When nothing runs it says so and exits with 0: the wish "nothing runs" is fulfilled, and a script
 * may say `down` before it removes the data without having to know.
 */
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import type { Configuration } from '../../app/configuration.ts';
import { killedReason } from '../../app/stop-requests.ts';
import { type ControlClient, isNotRunning } from '../../control/client.ts';
import { type EventLine, eventLineSchema } from '../../control/protocol.ts';
import { exitCode, type ExitCode } from '../../error/codes.ts';
import { StartupError } from '../../error/startup-error.ts';
import { envelopeJson } from '../../event/envelope-json.ts';
import { createEventStream } from '../../event/stream.ts';
import { sleep, systemClock } from '../../kernel/clock.ts';
import { formatDurationMs } from '../../kernel/duration.ts';
import { lockHolder } from '../../process/lock.ts';
import type { CommandInput, CommandRun } from '../command.ts';
import { configurationOf } from '../configuration-of.ts';
import { clientOf } from './connect.ts';

/** Between two looks whether the process has ended; nothing tells of the end of a process that is not ours. */
const lookEveryMs = 20;
/** How long the process may take to end after everything was stopped, and to answer after it has begun, in milliseconds. */
const endWithinMs = 10_000;

export const run: CommandRun = async (input) => {
  const { signal } = input;
  const configuration = await configurationOf(input);
  const { paths } = configuration;
  const client = clientOf(paths, signal);
  const untilMs = systemClock.monotonicMs() + endWithinMs;
  for (;;) {
    try {
      return await stopRunning(input, client);
    } catch (error) {
      if (!isNotRunning(error)) throw error;
    }
    // Held, and nobody answers: it is about to end, or has just begun.
    if (lockHolder(paths.dataDir) === undefined || systemClock.monotonicMs() > untilMs)
      return stopWhatIsLeft(input, configuration);
    await sleep(systemClock, lookEveryMs, signal);
  }
};

/** @throws ERR_CONTROL if none runs (see `isNotRunning`) */
async function stopRunning(input: CommandInput, client: ControlClient): Promise<ExitCode> {
  const { options, signal } = input;
  const show = shower(input);
  let finished: Finished | undefined;
  // Followed before it is asked for, so that nothing of it is missed.
  const events = await client.events({ follow: true });
  const { pid } = await client.down({ hurry: options['hurry'] === true });
  for await (const line of events) {
    show(line);
    finished = finishedOf(line) ?? finished;
    if (finished !== undefined) break;
  }
  await ended(pid, signal);
  if (finished === undefined) {
    throw new StartupError('ERR_CONTROL', 'k3s-lite ended before it said that everything is stopped', {
      pid,
      hint: '`k3s-lite down` again stops what is left',
    });
  }
  return finished.leftovers.length === 0 ? exitCode.ok : exitCode.bug;
}

/** What a killed k3s-lite left is stopped by this command itself. Its code is loaded only then. */
async function stopWhatIsLeft(input: CommandInput, configuration: Configuration): Promise<ExitCode> {
  const { io, options, env, signal } = input;
  const { downEarlier } = await import('../../app/down-earlier.ts');
  const events = createEventStream({ clock: systemClock });
  const show = shower(input);
  using _shown = events.subscribe({
    onEvent: (envelope) => show(eventLineSchema.parse(JSON.parse(envelopeJson(envelope)))),
  });
  const hurry = options['hurry'] === true ? AbortSignal.abort(new Error('--hurry')) : signal;
  const notCleared = await downEarlier({ configuration, env, clock: systemClock, events, hurry });
  events.flush();
  if (notCleared !== undefined) return notCleared.length === 0 ? exitCode.ok : exitCode.bug;
  const { dataDir } = configuration.paths;
  if (options['json'] === true) io.out(`${JSON.stringify({ running: false, dataDir })}\n`);
  else io.out(`nothing runs for ${dataDir}\n`);
  return exitCode.ok;
}

function shower({ io, options }: CommandInput): (line: EventLine) => void {
  return options['json'] === true
    ? (line) => io.out(`${JSON.stringify(line)}\n`)
    : (line) => tell(line, (text) => io.out(`${text}\n`));
}

const finishedSchema = z.object({
  type: z.literal('down.finished'),
  elapsedMs: z.number(),
  leftovers: z.array(z.string()),
});
type Finished = z.infer<typeof finishedSchema>;

const toldSchema = z.discriminatedUnion('type', [
  finishedSchema,
  z.object({ type: z.literal('down.started'), reason: z.string() }),
  z.object({
    type: z.literal('unit.state'),
    unit: z.string(),
    from: z.string(),
    snapshot: z.object({ state: z.string() }),
  }),
  z.object({ type: z.literal('process.stopping'), unit: z.string(), signal: z.string() }),
  z.object({ type: z.literal('notice'), level: z.string(), text: z.string() }),
]);

function finishedOf(line: EventLine): Finished | undefined {
  return 'event' in line ? finishedSchema.safeParse(line.event).data : undefined;
}

function tell(line: EventLine, say: (text: string) => void): void {
  if (!('event' in line)) return;
  const event = toldSchema.safeParse(line.event).data;
  switch (event?.type) {
    case 'down.started':
      say(event.reason === killedReason ? 'k3s-lite itself was killed; stopping what it left running' : 'stopping');
      return;
    case 'unit.state':
      if (event.snapshot.state === 'stopped' && event.from !== 'stopped') say(`${event.unit} stopped`);
      return;
    case 'process.stopping':
      if (event.signal === 'SIGKILL') say(`${event.unit} did not end in time: SIGKILL`);
      return;
    case 'notice':
      say(event.text);
      return;
    case 'down.finished':
      if (event.leftovers.length === 0) say(`everything is stopped (${formatDurationMs(event.elapsedMs)})`);
      else say(['could not be cleared:', ...event.leftovers.map((each) => `  ${each}`)].join('\n'));
      return;
    case undefined:
      return;
  }
}

/** Waits for the process itself: only then are its lock and its socket free for the next one. */
async function ended(pid: number, signal: AbortSignal): Promise<void> {
  const untilMs = systemClock.monotonicMs() + endWithinMs;
  while (isAlive(pid) && systemClock.monotonicMs() < untilMs) await sleep(systemClock, lookEveryMs, signal);
}

/** A zombie has ended: it only waits for a parent that does not look. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${String(pid)}/status`, 'utf8'));
  } catch {
    return false;
  }
}
