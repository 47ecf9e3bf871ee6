/** An envelope as one line of JSON: the form of `up --json`, of the control socket and of the log file. */
import type { Envelope, Event } from './event.ts';
import { redactArgv } from './redact.ts';

/** Many readers get the same line: it is made once, and kept for as long as the envelope is. */
const lines = new WeakMap<Envelope, string>();

/** One line without a line break. Errors become their JSON form, secrets in command lines `***`. */
export function envelopeJson(envelope: Envelope): string {
  const known = lines.get(envelope);
  if (known !== undefined) return known;
  const line = JSON.stringify({ ...envelope, event: redactEvent(envelope.event) });
  lines.set(envelope, line);
  return line;
}

/** The event as it may leave the process. */
export function redactEvent(event: Event): Event {
  return event.type === 'process.spawned' ? { ...event, argv: redactArgv(event.argv) } : event;
}
