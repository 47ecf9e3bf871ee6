/**
 * `up` on a terminal: a tree that is redrawn while units start or stop, plain lines in between.
 *
 * Redrawn on events, at most ten times a second; while nothing happens, twice a second for the
 * times. When everything is ready the last frame stays and no timer is left. The library that
 * rewrites the screen is loaded beside the start, which never waits for it.
 */
import type { Envelope } from '../../event/event.ts';
import type { Clock } from '../../kernel/clock.ts';
import { emptyModel } from '../model.ts';
import { plainLines } from '../plain-lines.ts';
import type { Reporter } from '../reporter.ts';
import { renderTree } from './tree.ts';

export interface LiveViewOptions {
  /** A terminal. */
  readonly stream: NodeJS.WriteStream;
  readonly clock: Clock;
  readonly colour: boolean;
}

/** Shortest time between two frames, in milliseconds. */
const frameMs = 100;
/** Time between two frames when nothing happens, in milliseconds. */
const idleFrameMs = 500;

/** Events that are also said in lines above the tree: the tree has no room for them. */
const saidAbove: ReadonlySet<Envelope['event']['type']> = new Set([
  'notice',
  'leftover.found',
  'unit.failed',
  'control.asked',
  'reload.started',
  'reload.finished',
  'reload.refused',
]);

/** What is used of log-update. */
interface Screen {
  (text: string): void;
  done(): void;
  persist(text: string): void;
}

export function liveView({ stream, clock, colour }: LiveViewOptions): Reporter {
  const model = emptyModel();
  const lines = plainLines({ colour, width: sizeOf(stream).columns });
  let screen: Screen | undefined;
  let isLive = false;
  let isClosed = false;
  let drawnMs = Number.NEGATIVE_INFINITY;
  let timer: Disposable | undefined;

  const stopTimer = () => {
    timer?.[Symbol.dispose]();
    timer = undefined;
  };
  const frame = () => {
    const { columns, rows } = sizeOf(stream);
    // The last row stays free for the cursor, or the terminal would scroll with each frame.
    return renderTree(model, { columns, rows: rows - 1, colour, nowMs: clock.monotonicMs() }).join('\n');
  };
  const draw = () => {
    stopTimer();
    if (screen === undefined) return;
    drawnMs = clock.monotonicMs();
    // A terminal that takes nothing (Ctrl-S) gets the next frame when it does again, not all that it missed.
    if (!stream.writableNeedDrain) screen(frame());
    if (isLive) timer = clock.timer(idleFrameMs, draw);
  };
  const drawSoon = () => {
    const waitMs = drawnMs + frameMs - clock.monotonicMs();
    stopTimer();
    if (waitMs <= 0) draw();
    else timer = clock.timer(waitMs, draw);
  };
  /** Leaves the last frame on the screen. */
  const settle = () => {
    stopTimer();
    if (!isLive) return;
    isLive = false;
    if (screen === undefined) {
      stream.write(`${frame()}\n`);
      return;
    }
    draw();
    screen.done();
  };
  const say = (text: string) => {
    if (isLive && screen !== undefined) screen.persist(text.replace(/\n$/, ''));
    else stream.write(text.endsWith('\n') ? text : `${text}\n`);
  };

  unblock(stream);
  void import('log-update').then(({ createLogUpdate }) => {
    if (isClosed) return;
    // The cursor stays visible: hiding it would need a handler for every way this process can end.
    screen = createLogUpdate(stream, { showCursor: true });
    if (isLive) drawSoon();
  });

  return {
    onEvent(envelope) {
      const said = lines(model, envelope);
      const { phase } = model;
      const wasLive = isLive;
      if (phase === 'starting' || phase === 'stopping' || phase === 'building') isLive = true;
      else settle();
      if (said.length > 0 && (saidAbove.has(envelope.event.type) || (!isLive && !wasLive))) say(said.join('\n'));
      if (isLive) drawSoon();
    },
    onDropped: (count) => say(`(${String(count)} events dropped: this terminal is too slow)`),
    say,
    close() {
      isClosed = true;
      settle();
    },
  };
}

/** A serial console knows no size and says 0. */
function sizeOf({ columns, rows }: NodeJS.WriteStream): { readonly columns: number; readonly rows: number } {
  return { columns: columns || 80, rows: rows || 24 };
}

/**
 * Node.js makes terminals blocking, so that a terminal stopped by Ctrl-S would stop every unit's
 * supervision too. Undocumented, and harmless where it is not there. Source: Node.js lib/tty.js.
 */
function unblock(stream: NodeJS.WriteStream): void {
  const { _handle: handle } = stream as { _handle?: { setBlocking?: (isBlocking: boolean) => unknown } };
  handle?.setBlocking?.(false);
}
