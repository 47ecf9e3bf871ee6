/**
 * `up` on a terminal: a tree that is redrawn while units start or stop, plain lines in between.
 *
 * Redrawn on events, at most ten times a second; while nothing happens, twice a second for the
 * times. When everything is ready the last frame stays and no timer is left.
 */
import type { Envelope } from '../../event/event.ts';
import type { Subscriber } from '../../event/stream.ts';
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
const saidAbove: ReadonlySet<Envelope['event']['type']> = new Set(['notice', 'leftover.found', 'unit.failed']);

export async function liveView({ stream, clock, colour }: LiveViewOptions): Promise<Reporter> {
  const { createLogUpdate } = await import('log-update');
  // The cursor stays visible: hiding it would need a handler for every way this process can end.
  const frame = createLogUpdate(stream, { showCursor: true });
  const model = emptyModel();
  const lines = plainLines({ colour, width: stream.columns });
  let isLive = false;
  let drawnMs = Number.NEGATIVE_INFINITY;
  let timer: Disposable | undefined;

  const draw = () => {
    timer?.[Symbol.dispose]();
    timer = undefined;
    drawnMs = clock.monotonicMs();
    const { columns, rows } = stream;
    frame(renderTree(model, { columns, rows: rows - 1, colour, nowMs: drawnMs }).join('\n'));
    if (isLive) timer = clock.timer(idleFrameMs, draw);
  };
  const drawSoon = () => {
    const waitMs = drawnMs + frameMs - clock.monotonicMs();
    if (waitMs <= 0) {
      draw();
      return;
    }
    timer?.[Symbol.dispose]();
    timer = clock.timer(waitMs, draw);
  };
  const settle = () => {
    if (!isLive) return;
    isLive = false;
    draw();
    frame.done();
  };
  const say = (text: string) => {
    if (isLive) frame.persist(text.replace(/\n$/, ''));
    else stream.write(text.endsWith('\n') ? text : `${text}\n`);
  };

  const subscriber: Subscriber = {
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
  };
  return {
    ...subscriber,
    say,
    close() {
      settle();
      timer?.[Symbol.dispose]();
    },
  };
}
