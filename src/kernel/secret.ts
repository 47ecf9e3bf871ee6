/**
 * A text that must not be shown: neither JSON nor `inspect` nor a template reaches it, so that it
 * cannot get into a log, an event or a record by way of the object that holds it.
 */
import { inspect } from 'node:util';

export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The text itself. To be called where it is used, and not before. */
  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return '(secret)';
  }

  toJSON(): string {
    return '(secret)';
  }

  [inspect.custom](): string {
    return '(secret)';
  }
}
