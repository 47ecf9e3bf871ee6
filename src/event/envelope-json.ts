/** An envelope as one line of JSON: the form of `up --json`, of the control socket and of the log file. */
import type { Envelope, Event } from './event.ts';
import { redactArgv } from './redact.ts';

/** One line without a line break. Errors become their JSON form, secrets in command lines `***`. */
export function envelopeJson(envelope: Envelope): string {
  return JSON.stringify({ ...envelope, event: redactEvent(envelope.event) });
}

/** The event as it may leave the process. */
export function redactEvent(event: Event): Event {
  return event.type === 'process.spawned' ? { ...event, argv: redactArgv(event.argv) } : event;
}
