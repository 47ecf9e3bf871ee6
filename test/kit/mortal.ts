/**
 * A supervisor that can be killed: what it has of clock and events stops with it, from one statement
 * to the next, as SIGKILL does. The code that was under way runs on, but nothing comes of it.
 */
import type { Event } from '../../src/event/event.ts';
import type { EventStream } from '../../src/event/stream.ts';
import type { Clock } from '../../src/kernel/clock.ts';
import { deferred } from '../../src/kernel/deferred.ts';
import type { NotifyPort } from '../../src/probe/notify-port.ts';
import type { FakeProcesses } from './fake-process.ts';
import { never } from './fake-run.ts';

const nothing: Disposable = { [Symbol.dispose]: () => undefined };

export interface Mortal {
  readonly clock: Clock;
  readonly events: EventStream;
  readonly isDead: boolean;
  /** Resolves when it is dead. */
  readonly ended: Promise<undefined>;
  kill(): void;
}

/** @param onEvent - called before each event is emitted: may kill */
export function mortal(clock: Clock, events: EventStream, onEvent: (event: Event) => void): Mortal {
  let isDead = false;
  const ended = deferred<undefined>();
  const pending = new Set<Disposable>();
  const schedule = (set: (fire: () => void) => Disposable, fire: () => void): Disposable => {
    if (isDead) return nothing;
    const handle = set(() => {
      pending.delete(own);
      fire();
    });
    const own: Disposable = {
      [Symbol.dispose]() {
        pending.delete(own);
        handle[Symbol.dispose]();
      },
    };
    pending.add(own);
    return own;
  };
  return {
    clock: {
      ...clock,
      monotonicMs: () => clock.monotonicMs(),
      wallMs: () => clock.wallMs(),
      timer: (delayMs, fire) => schedule((run) => clock.timer(delayMs, run), fire),
      soon: (fire) => schedule((run) => clock.soon(run), fire),
      later: (fire) => schedule((run) => clock.later(run), fire),
    },
    events: {
      ...events,
      get lastSeq() {
        return events.lastSeq;
      },
      emit(event) {
        if (!isDead) onEvent(event);
        // It may be so only now.
        if (!isDead) events.emit(event);
      },
    },
    get isDead() {
      return isDead;
    },
    ended: ended.promise,
    kill() {
      isDead = true;
      ended.resolve(undefined);
      for (const item of [...pending]) item[Symbol.dispose]();
    },
  };
}

/** The world as a supervisor reaches it while it lives: what it does when it is dead leaves no trace. */
export function reachOf(life: Mortal, processes: FakeProcesses, notify: NotifyPort) {
  const whileAlive = (make: () => Disposable) => (life.isDead ? nothing : make());
  const process: FakeProcesses = {
    ...processes,
    get followers() {
      return processes.followers;
    },
    onAnswer: (unit, changed) => whileAlive(() => processes.onAnswer(unit, changed)),
    log(unit) {
      const log = processes.log(unit);
      return { ...log, follow: (listener) => whileAlive(() => log.follow(listener)) };
    },
    builtin: (context) => (life.isDead ? never : processes.builtin(context)),
    runToEnd: (options) => (life.isDead ? never : processes.runToEnd(options)),
    adopt(request) {
      if (!life.isDead) return processes.adopt(request);
      const { pid } = request.record;
      return { pid, exited: never, becameReady: () => undefined, suspect: () => undefined, stop: () => never };
    },
    launch(request) {
      if (life.isDead) throw new Error('a dead supervisor launches nothing');
      return processes.launch(request);
    },
  };
  const sockets: NotifyPort = {
    open(unit, generation) {
      const socket = notify.open(unit, generation);
      if (life.isDead) socket[Symbol.dispose]();
      return socket;
    },
    reopen(path, heard) {
      const socket = notify.reopen(path, heard);
      if (life.isDead) socket[Symbol.dispose]();
      return socket;
    },
  };
  return { process, notify: sockets };
}
