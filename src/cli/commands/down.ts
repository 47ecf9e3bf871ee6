/**
 * `k3s-lite down`: asks the running k3s-lite to stop and follows it to its end.
 *
 * When nothing runs it says so and exits with 0: the wish "nothing runs" is fulfilled, and a script
 * may say `down` before it removes the data without having to know.
 */
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { isNotRunning } from '../../control/client.ts';
import type { EventLine } from '../../control/protocol.ts';
import { exitCode } from '../../error/codes.ts';
import { StartupError } from '../../error/startup-error.ts';
import { sleep, systemClock } from '../../kernel/clock.ts';
import { formatDurationMs } from '../../kernel/duration.ts';
import type { CommandRun } from '../command.ts';
import { connect } from './connect.ts';

/** Between two looks whether the process has ended; nothing tells of the end of a process that is not ours. */
const lookEveryMs = 20;
/** How long the process may take to end after everything was stopped, in milliseconds. */
const endWithinMs = 10_000;

export const run: CommandRun = async (input) => {
  const { io, options, signal } = input;
  const json = options['json'] === true;
  const { client, paths } = await connect(input);
  let finished: Finished | undefined;
  let pid: number;
  try {
    // Followed before it is asked for, so that nothing of it is missed.
    const events = await client.events({ follow: true });
    ({ pid } = await client.down({ hurry: options['hurry'] === true }));
    for await (const line of events) {
      if (json) io.out(`${JSON.stringify(line)}\n`);
      else tell(line, (text) => io.out(`${text}\n`));
      finished = finishedOf(line) ?? finished;
      if (finished !== undefined) break;
    }
  } catch (error) {
    if (!isNotRunning(error)) throw error;
    if (json) io.out(`${JSON.stringify({ running: false, dataDir: paths.dataDir })}\n`);
    else io.out(`nothing runs for ${paths.dataDir}\n`);
    return exitCode.ok;
  }
  await ended(pid, signal);
  if (finished === undefined) {
    throw new StartupError('ERR_CONTROL', 'k3s-lite ended before it said that everything is stopped', {
      pid,
      hint: 'the next `k3s-lite up` adopts or ends what is left',
    });
  }
  return finished.leftovers.length === 0 ? exitCode.ok : exitCode.bug;
};

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
      say('stopping');
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
