/** Something that tells a person what goes on: the live view or plain lines. */
import type { Subscriber } from '../event/stream.ts';

export interface Reporter extends Subscriber {
  /** Prints a text of its own (a summary) without disturbing what is shown. */
  say(text: string): void;
  /** Ends the view; the last frame stays. No timer is left. */
  close(): void;
}
