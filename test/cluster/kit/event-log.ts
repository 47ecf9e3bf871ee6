/** The events that `up --json` prints, kept from the first one and awaited by what they say. */
import { z } from 'zod';
import { snapshotSchema, type WireSnapshot } from '../../../src/control/protocol.ts';
import type { ErrorJson } from '../../../src/error/startup-error.ts';
import type { EventType } from '../../../src/event/event.ts';

/** How long anything may take on a busy machine, in milliseconds. */
const patienceMs = 60_000;

const errorSchema = z.custom<ErrorJson>((value) => typeof value === 'object' && value !== null);
const lineSchema = z.object({
  seq: z.number(),
  monotonicMs: z.number(),
  event: z.looseObject({ type: z.string() }),
});

export interface Told {
  readonly seq: number;
  readonly monotonicMs: number;
  readonly event: { readonly type: string; readonly [key: string]: unknown };
}

export interface StateTold extends Told {
  readonly unit: string;
  readonly from: string;
  readonly snapshot: WireSnapshot;
}

export class EventLog {
  readonly all: Told[] = [];
  readonly #waiters = new Set<() => void>();
  #end: string | undefined;

  /** One line of output. @returns false if it is no event */
  add(line: string): boolean {
    if (!line.startsWith('{')) return false;
    this.all.push(lineSchema.parse(JSON.parse(line)));
    this.#wake();
    return true;
  }

  /** Nothing more will come: whoever waits is told `why`. */
  close(why: string): void {
    this.#end = why;
    this.#wake();
  }

  /** How many were told so far: a place to look from. */
  get count(): number {
    return this.all.length;
  }

  of(type: EventType, unit?: string): Told[] {
    return this.all.filter(({ event }) => event.type === type && (unit === undefined || event['unit'] === unit));
  }

  states(unit?: string): StateTold[] {
    return this.of('unit.state', unit).map((told) => ({
      ...told,
      unit: String(told.event['unit']),
      from: String(told.event['from']),
      snapshot: snapshotSchema.parse(told.event['snapshot']),
    }));
  }

  /** The last error that was told of a unit, with its causes: from the unit down to the root. */
  chain(unit: string): readonly ErrorJson[] {
    const chain: ErrorJson[] = [];
    for (let next: unknown = this.error(unit); next !== undefined;) {
      const error = errorSchema.parse(next);
      chain.push(error);
      next = error.cause;
    }
    return chain;
  }

  /** The last error that was told of a unit. */
  error(unit: string): ErrorJson {
    const error = this.states(unit).findLast(({ snapshot }) => snapshot.lastError !== undefined)?.snapshot.lastError;
    if (error === undefined) throw new Error(`no error of ${unit} was told:\n${this.tail()}`);
    return errorSchema.parse(error);
  }

  /** Resolves with the first event, from `since` on, that `accept` takes. */
  async until(accept: (told: Told) => boolean, what: string, since = 0, withinMs = patienceMs): Promise<Told> {
    const deadline = Date.now() + withinMs;
    for (let next = since; ;) {
      for (; next < this.all.length; next += 1) {
        const told = this.all[next];
        if (told !== undefined && accept(told)) return told;
      }
      if (this.#end !== undefined) throw new Error(`${this.#end} before ${what}:\n${this.tail()}`);
      if (Date.now() >= deadline) throw new Error(`not within ${withinMs} ms: ${what}:\n${this.tail()}`);
      await this.#more(deadline - Date.now());
    }
  }

  async ready(since = 0, withinMs = patienceMs): Promise<Told> {
    return this.until(({ event }) => event.type === 'up.ready', 'everything is ready', since, withinMs);
  }

  async state(unit: string, state: WireSnapshot['state'], since = 0): Promise<StateTold> {
    const { seq } = await this.until(
      ({ event }) =>
        event.type === 'unit.state' &&
        event['unit'] === unit &&
        snapshotSchema.pick({ state: true }).parse(event['snapshot']).state === state,
      `${unit} is ${state}`,
      since,
    );
    const found = this.states(unit).find((told) => told.seq === seq);
    if (found === undefined) throw new Error('internal error: the event is gone');
    return found;
  }

  /** The last events in short, for the message of a failed wait. */
  tail(): string {
    return this.all
      .filter(({ event }) => event.type !== 'probe.attempt')
      .slice(-15)
      .map(({ event }) => JSON.stringify(event).slice(0, 300))
      .join('\n');
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }

  #more(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const settle = () => {
        clearTimeout(timer);
        this.#waiters.delete(settle);
        resolve();
      };
      const timer = setTimeout(settle, withinMs);
      this.#waiters.add(settle);
    });
  }
}
