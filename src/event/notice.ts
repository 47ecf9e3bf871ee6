/** Tells a person something, as an event: of a unit, or of k3s-lite itself. */
import type { EventStream } from './stream.ts';

export function noticeTo(
  events: Pick<EventStream, 'emit'>,
  level: 'info' | 'warning',
): (text: string, unit?: string) => void {
  return (text, unit) => events.emit({ type: 'notice', level, text, ...(unit === undefined ? {} : { unit }) });
}
