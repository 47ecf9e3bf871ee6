import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { boundedLines, type LineStream } from '../../src/report/bounded-lines.ts';

/** A stream that keeps what is written until its reader takes it. */
class Slow extends EventEmitter implements LineStream {
  writable = true;
  writableLength = 0;
  text = '';

  write(text: string): boolean {
    this.writableLength += text.length;
    this.text += text;
    return false;
  }

  take(): void {
    this.writableLength = 0;
    this.emit('drain');
  }
}

test('what a slow reader cannot take is dropped and counted, then lines are shown again', () => {
  const stream = new Slow();
  const lines = boundedLines({ stream, maxWaitingBytes: 3, droppedLine: (count) => `(${String(count)} dropped)\n` });
  for (const line of ['a\n', 'b\n', 'c\n', 'd\n', 'e\n']) lines.write(line);
  stream.take();
  stream.take();
  lines.write('f\n');
  expect(stream.text).toBe('a\nb\n(3 dropped)\nf\n');
});

test('what was dropped is said at the end, too, and no listener stays', () => {
  const stream = new Slow();
  const lines = boundedLines({ stream, maxWaitingBytes: 0, droppedLine: (count) => `(${String(count)} dropped)\n` });
  lines.write('a\n');
  lines.write('b\n');
  lines[Symbol.dispose]();
  expect(stream.text).toBe('a\n(1 dropped)\n');
  expect(stream.listenerCount('drain')).toBe(0);
});

test('nothing is written to a stream that has ended', () => {
  const stream = new Slow();
  stream.writable = false;
  boundedLines({ stream, droppedLine: String }).write('a\n');
  expect(stream.text).toBe('');
});
