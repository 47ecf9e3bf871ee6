import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { liveView } from '../../src/report/terminal/live-view.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { envelopes, goodStart, portConflict, snapshot, state } from './facts.ts';

/** A terminal of which only the written text is known. */
function terminal(size = { columns: 80, rows: 24 }) {
  const chunks: string[] = [];
  const stream = Object.assign(
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        chunks.push(chunk.toString('utf8'));
        done();
      },
    }),
    { ...size, isTTY: true },
  );
  const text = () => chunks.join('').replace(/\u001b\[[0-9?;]*[A-Za-z]/g, '');
  return { stream: stream as unknown as NodeJS.WriteStream, chunks, text };
}

/** The library behind the view is loaded when it has drawn something. */
async function ready(view: ReturnType<typeof liveView>, chunks: string[], first = goodStart()[0]) {
  if (first !== undefined) view.onEvent(first);
  await expect.poll(() => chunks.length).toBeGreaterThan(0);
}

test('frames are drawn at most ten times a second, and none is left to draw once everything is ready', async () => {
  const clock = fakeClock();
  const { stream, chunks, text } = terminal();
  const view = liveView({ stream, clock, colour: false });
  await ready(view, chunks);
  const before = chunks.length;
  const [, ...rest] = goodStart();
  const last = rest.pop();
  for (const envelope of rest) view.onEvent(envelope);
  expect(chunks.length).toBe(before);
  expect(clock.pendingTimers).toBe(1);
  await clock.advance(100);
  expect(chunks.length).toBe(before + 1);
  expect(text()).toContain('kubelet');

  if (last !== undefined) view.onEvent(last);
  expect(text()).toContain('ready  3.5 s  3 of 3 ready');
  expect(clock.pendingTimers).toBe(0);
  const settled = chunks.length;
  await clock.advance(60_000);
  expect(chunks.length).toBe(settled);
});

test('while nothing happens the times go on, twice a second', async () => {
  const clock = fakeClock();
  const { stream, chunks } = terminal();
  const view = liveView({ stream, clock, colour: false });
  await ready(view, chunks);
  const before = chunks.length;
  await clock.advance(2000);
  expect(chunks.length - before).toBe(4);
  view.close();
  expect(clock.pendingTimers).toBe(0);
});

test('failures and notices are said above the tree, and after the start everything in plain lines', async () => {
  const clock = fakeClock();
  const { stream, chunks, text } = terminal();
  const view = liveView({ stream, clock, colour: false });
  await ready(view, chunks);
  const { etcd } = portConflict();
  const [failed] = envelopes([100, { type: 'unit.failed', unit: 'etcd', error: etcd }]);
  if (failed !== undefined) view.onEvent(failed);
  expect(text()).toContain('hint: stop pid 812');
  for (const envelope of goodStart().slice(1)) view.onEvent(envelope);
  view.say('summary');
  expect(text()).toContain('3 of 3 ready');
  expect(text().trimEnd().endsWith('summary')).toBe(true);
  for (const envelope of envelopes([
    9000,
    state('etcd', 'ready', snapshot('etcd', 'unhealthy', { lastError: etcd })),
  ])) {
    view.onEvent(envelope);
  }
  expect(text()).toContain('+9.00s etcd unhealthy');
  expect(clock.pendingTimers).toBe(0);
});

test('closed before it could draw, it leaves the last frame as plain text', () => {
  const { stream, chunks } = terminal();
  const clock = fakeClock();
  const view = liveView({ stream, clock, colour: false });
  for (const envelope of goodStart().slice(0, 6)) view.onEvent(envelope);
  view.close();
  expect(chunks.join('')).toContain('k3s-lite  starting');
  expect(clock.pendingTimers).toBe(0);
});

test('a terminal that knows no size gets a view all the same', () => {
  const { stream, chunks } = terminal({ columns: 0, rows: 0 });
  const view = liveView({ stream, clock: fakeClock(), colour: false });
  for (const envelope of goodStart().slice(0, 6)) view.onEvent(envelope);
  view.close();
  expect(chunks.join('')).toContain('kubelet');
});

test('a terminal that takes nothing gets no more frames until it does', async () => {
  const clock = fakeClock();
  const { stream, chunks } = terminal();
  const view = liveView({ stream, clock, colour: false });
  await ready(view, chunks);
  const before = chunks.length;
  Object.defineProperty(stream, 'writableNeedDrain', { value: true, configurable: true });
  await clock.advance(60_000);
  expect(chunks.length).toBe(before);
  Object.defineProperty(stream, 'writableNeedDrain', { value: false, configurable: true });
  await clock.advance(500);
  expect(chunks.length).toBe(before + 1);
  view.close();
});
