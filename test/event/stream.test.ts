import { describe, expect, test } from 'vitest';
import type { Envelope, Event } from '../../src/event/event.ts';
import { createEventStream, type EventStream } from '../../src/event/stream.ts';
import type { Clock } from '../../src/kernel/clock.ts';
import { fakeClock } from '../kit/fake-clock.ts';

const note = (text: string): Event => ({ type: 'notice', level: 'info', text });
const emitMany = (stream: EventStream, count: number) => {
  for (let number = 1; number <= count; number += 1) stream.emit(note(String(number)));
};
const textOf = ({ event }: Envelope) => (event.type === 'notice' ? event.text : event.type);

function reader() {
  const seen: Envelope[] = [];
  const dropped: number[] = [];
  return {
    seen,
    dropped,
    onEvent: (envelope: Envelope) => void seen.push(envelope),
    onDropped: (count: number) => void dropped.push(count),
  };
}

describe('the event stream', () => {
  test('seq has no gaps, and both times are those of the emission', async () => {
    const clock = fakeClock(1000);
    const stream = createEventStream({ clock });
    const all = reader();
    stream.subscribe(all);
    stream.emit(note('a'));
    await clock.advance(5);
    stream.emit(note('b'));
    await clock.settle();
    expect(all.seen.map(({ seq, wallMs, monotonicMs }) => [seq, wallMs, monotonicMs])).toEqual([
      [1, 1000, 0],
      [2, 1005, 5],
    ]);
    expect(stream.lastSeq).toBe(2);
  });

  test('a reader may flush: the others have then seen what it sees, each event once and in order', async () => {
    const clock = fakeClock();
    const stream = createEventStream({ clock });
    const other = reader();
    const seenByOther: number[] = [];
    stream.subscribe({
      onEvent() {
        stream.flush();
        seenByOther.push(other.seen.length);
      },
    });
    stream.subscribe(other);
    emitMany(stream, 3);
    await clock.settle();
    expect(seenByOther).toEqual([3, 3, 3]);
    expect(other.seen.map(textOf)).toEqual(['1', '2', '3']);
  });

  test('emitting delivers nothing in the same turn', async () => {
    const clock = fakeClock();
    const stream = createEventStream({ clock });
    const all = reader();
    stream.subscribe(all);
    stream.emit(note('a'));
    expect(all.seen).toHaveLength(0);
    await clock.settle();
    expect(all.seen).toHaveLength(1);
  });

  test('a reader that fell behind is told how many it missed, then goes on', async () => {
    const clock = fakeClock();
    const stream = createEventStream({ clock, capacity: 10 });
    const slow = reader();
    stream.subscribe(slow);
    emitMany(stream, 25);
    await clock.settle();
    expect(slow.dropped).toEqual([15]);
    expect(slow.seen.map(({ seq }) => seq)).toEqual([16, 17, 18, 19, 20, 21, 22, 23, 24, 25]);
  });

  test('a reader that asks for a seq that is gone is told too; one that asks for 0 gets what there is', async () => {
    const clock = fakeClock();
    const stream = createEventStream({ clock, capacity: 4 });
    emitMany(stream, 10);
    const from3 = reader();
    const from0 = reader();
    const ahead = reader();
    stream.subscribe(from3, { since: 3 });
    stream.subscribe(from0, { since: 0 });
    stream.subscribe(ahead, { since: 99 });
    stream.emit(note('11'));
    await clock.settle();
    expect(from3.dropped).toEqual([5]);
    expect(from3.seen.map(textOf)).toEqual(['8', '9', '10', '11']);
    expect(from0.seen.map(textOf)).toEqual(['8', '9', '10', '11']);
    expect(ahead.seen.map(textOf)).toEqual(['11']);
  });

  test('a reader that throws is detached and reported, and the others get everything', async () => {
    const clock = fakeClock();
    const stream = createEventStream({ clock });
    let calls = 0;
    stream.subscribe({
      onEvent() {
        calls += 1;
        throw new Error('reader is broken');
      },
    });
    const good = reader();
    stream.subscribe(good);
    emitMany(stream, 3);
    await clock.settle();
    expect(calls).toBe(1);
    expect(good.seen.map(textOf)).toEqual([
      '1',
      '2',
      '3',
      'internal error: an event reader failed and was detached: Error: reader is broken',
    ]);
  });

  test('flush delivers everything now, also past a reader that throws', () => {
    const stream = createEventStream({ clock: fakeClock() });
    const good = reader();
    stream.subscribe(good);
    stream.subscribe({
      onEvent() {
        throw new Error('broken');
      },
    });
    emitMany(stream, 3);
    stream.flush();
    expect(good.seen).toHaveLength(4);
  });

  test('a reader that detaches itself on the way gets nothing more', async () => {
    const clock = fakeClock();
    const stream = createEventStream({ clock });
    const seen: number[] = [];
    const subscription = stream.subscribe({
      onEvent({ seq }) {
        seen.push(seq);
        if (seq === 2) subscription[Symbol.dispose]();
      },
    });
    emitMany(stream, 5);
    await clock.settle();
    expect(seen).toEqual([1, 2]);
  });

  test('readers get a slice of time in each turn, and a slow one does not starve the others', async () => {
    // Each event costs the slow reader 3 ms of this clock; a slice is 4 ms.
    const real = fakeClock();
    let nowMs = 0;
    let turns = 0;
    const clock: Clock = {
      ...real,
      monotonicMs: () => nowMs,
      // The first turn is for later, those after it are not.
      later: (run) =>
        real.later(() => {
          turns += 1;
          run();
        }),
      soon: (run) =>
        real.soon(() => {
          turns += 1;
          run();
        }),
    };
    const stream = createEventStream({ clock, sliceMs: 4 });
    const order: string[] = [];
    stream.subscribe({
      onEvent({ seq }) {
        nowMs += 3;
        order.push(`slow ${String(seq)}`);
      },
    });
    stream.subscribe({ onEvent: ({ seq }) => void order.push(`quick ${String(seq)}`) });
    emitMany(stream, 10);
    await real.settle();
    expect(turns).toBeGreaterThanOrEqual(5);
    expect(order.filter((line) => line.startsWith('slow'))).toHaveLength(10);
    const quickDone = order.indexOf('quick 10');
    expect(order.slice(0, quickDone).filter((line) => line.startsWith('slow')).length).toBeLessThanOrEqual(2);
  });

  test('nobody who listens costs no turn of the event loop', async () => {
    const real = fakeClock();
    let turns = 0;
    const clock: Clock = { ...real, later: (run) => ((turns += 1), real.later(run)) };
    emitMany(createEventStream({ clock }), 5);
    await real.settle();
    expect(turns).toBe(0);
  });
});
