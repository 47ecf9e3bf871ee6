import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import { decodeLine, lineSplitter, maxLineBytes } from '../../src/process/line-splitter.ts';
import { createLogWatch } from '../../src/process/log-watch.ts';
import { openUnitLog, type UnitLog } from '../../src/process/unit-log.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { smallDisk } from '../kit/small-disk.ts';
import { scratch, type Scratch, unitOf } from './scratch.ts';

function logIn(place: Scratch, limits = { maxBytes: 10 << 20, maxFiles: 3 }, folder = place.folder) {
  const file = path.join(folder, 'unit.log');
  const log = openUnitLog({ path: file, limits, clock: systemClock, notice: (text) => void place.notices.push(text) });
  return { file, log };
}

function collect(log: UnitLog | ReturnType<Scratch['layer']['log']>): string[] {
  const lines: string[] = [];
  log.follow((line) => void lines.push(line));
  return lines;
}

test('lines split anywhere come out whole, UTF-8 included', () => {
  const text = 'héllo\n\nwörld 🎉\r\nlast';
  const bytes = Buffer.from(text);
  for (let size = 1; size <= bytes.length; size += 1) {
    const lines: string[] = [];
    const splitter = lineSplitter((line) => void lines.push(line));
    for (let at = 0; at < bytes.length; at += size) splitter.push(bytes.subarray(at, at + size));
    expect(lines).toEqual(['héllo', '', 'wörld 🎉']);
    splitter.flush();
    expect(lines.at(-1)).toBe('last');
  }
});

test('a very long line is cut, says so, and does not hold memory', () => {
  const lines: string[] = [];
  const splitter = lineSplitter((line) => void lines.push(line));
  const chunk = Buffer.from('é'.repeat(1000));
  for (let count = 0; count < 1000; count += 1) splitter.push(chunk);
  splitter.push(Buffer.from('\nnext\n'));
  expect(lines).toHaveLength(2);
  expect(lines[0]?.endsWith(`é… [${String(2_000_000 - maxLineBytes)} more bytes]`)).toBe(true);
  expect(lines[0]?.length).toBeLessThan(maxLineBytes);
  expect(lines[1]).toBe('next');
});

test('a cut in the middle of a character leaves no half of it', () => {
  const bytes = Buffer.from(`${'a'.repeat(maxLineBytes - 1)}é`);
  expect(decodeLine(bytes)).toBe(`${'a'.repeat(maxLineBytes - 1)}… [1 more bytes]`);
});

test('bytes that are no text are replaced, and the lines around them survive', () => {
  const lines: string[] = [];
  const splitter = lineSplitter((line) => void lines.push(line));
  splitter.push(Buffer.concat([Buffer.from('a\n'), Buffer.from([0xff, 0xfe, 0x00, 0x80]), Buffer.from('\nb\n')]));
  expect(lines).toEqual(['a', '\ufffd\ufffd\0\ufffd', 'b']);
});

test('a follower gets the lines that come, in order, and none from before', async () => {
  await using place = scratch();
  const { file, log } = logIn(place);
  using _log = log;
  appendFileSync(file, 'before\n');
  const lines = collect(log);
  appendFileSync(file, 'one\ntw');
  await expect.poll(() => lines).toEqual(['one']);
  appendFileSync(file, 'o\nthree\n');
  await expect.poll(() => lines).toEqual(['one', 'two', 'three']);
});

test('a line that is half written when following begins is delivered whole', async () => {
  await using place = scratch();
  const { file, log } = logIn(place);
  using _log = log;
  appendFileSync(file, 'before\nha');
  const lines = collect(log);
  appendFileSync(file, 'lf\n');
  await expect.poll(() => lines).toEqual(['half']);
});

test('the log of a unit that has not written yet can be followed', async () => {
  await using place = scratch();
  const lines = collect(place.layer.log('later'));
  const running = place.launch(unitOf('later', { run: ['sh', '-c', 'echo hello'] }));
  await running.exited;
  await expect.poll(() => lines).toEqual(['hello']);
});

test('an unterminated last line is delivered, and part of last(), once the process has ended', async () => {
  await using place = scratch();
  const lines = collect(place.layer.log('cut'));
  const unit = unitOf('cut', { run: ['sh', '-c', 'printf "whole\\npanic: half"; read never < fifo'] });
  writeFileSync(path.join(place.folder, 'fifo'), '');
  const running = place.launch(unit);
  await running.exited;
  expect(place.layer.log('cut').last(5)).toEqual(['whole', 'panic: half']);
  await expect.poll(() => lines).toEqual(['whole', 'panic: half']);
});

test('last(n) knows the present generation alone, and no unterminated line while the process runs', async () => {
  await using place = scratch();
  const unit = unitOf('twice', { run: ['sh', '-c', 'echo "run $GENERATION"; printf half; exec sleep 300'] });
  const log = place.layer.log('twice');
  const first = place.launch(unit, 1, { GENERATION: '1' });
  await expect.poll(() => place.logText('twice')).toBe('run 1\nhalf');
  expect(log.last(10)).toEqual(['run 1']);
  await first.stop({});
  expect(log.last(10)).toEqual(['run 1', 'half']);
  place.launch(unit, 2, { GENERATION: '2' });
  await expect.poll(() => log.last(10)).toEqual(['run 2']);
});

test('last(n) gives the end of a large file', async () => {
  await using place = scratch();
  const { file, log } = logIn(place);
  using _log = log;
  const many = Array.from({ length: 100_000 }, (_, index) => `line ${String(index)} ${'x'.repeat(index % 50)}`);
  writeFileSync(file, `${many.join('\n')}\n`);
  expect(log.last(3000)).toEqual(many.slice(-3000));
  expect(log.last(1)).toEqual(many.slice(-1));
  expect(log.last(0)).toEqual([]);
  expect(log.last(1e9).length).toBeGreaterThan(10_000);
});

test('append writes a line of ours, and never throws', async () => {
  await using place = scratch();
  place.layer.append('builtin', 'made ca.crt');
  expect(place.layer.log('builtin').last(2)).toEqual(['made ca.crt']);
  expect(statSync(path.join(place.logDir, 'builtin.log')).mode & 0o777).toBe(0o600);
  place.layer.append('no/such/folder', 'lost');
  place.layer.append('no/such/folder', 'lost again');
  expect(place.notices).toHaveLength(1);
});

test('a follower survives that the file is truncated by somebody else', async () => {
  await using place = scratch();
  const { file, log } = logIn(place);
  using _log = log;
  const lines = collect(log);
  appendFileSync(file, 'one long enough line\n');
  await expect.poll(() => lines).toEqual(['one long enough line']);
  truncateSync(file, 0);
  appendFileSync(file, 'two\n');
  await expect.poll(() => lines.at(-1)).toBe('two');
  expect(log.last(5)).toEqual(['two']);
});

test('10,000 lines are delivered complete and in order while they are written', async () => {
  await using place = scratch();
  const lines = collect(place.layer.log('fast'));
  const script = 'i=0; while [ $i -lt 10000 ]; do echo "line $i"; i=$((i+1)); done';
  await place.launch(unitOf('fast', { run: ['sh', '-c', script] })).exited;
  await expect.poll(() => lines.length).toBe(10_000);
  expect(lines.every((line, index) => line === `line ${String(index)}`)).toBe(true);
});

test('rotation while a process writes loses no line for the follower, and keeps three files of 0600', async () => {
  await using place = scratch({ logLimits: { maxBytes: 4096, maxFiles: 3 } });
  const lines = collect(place.layer.log('chatty'));
  const file = path.join(place.logDir, 'chatty.log');
  // Slow enough that nothing is written in the microseconds between copy and truncation; until it was rotated twice.
  const script =
    'i=0; while [ $i -lt 400 ] || [ ! -e "$0" ]; do echo "line $i of a process that writes a lot"; i=$((i+1)); [ $((i%20)) = 0 ] && sleep 0.02; done; echo end';
  await place.launch(unitOf('chatty', { run: ['sh', '-c', script, `${file}.2`] })).exited;
  await expect.poll(() => lines.at(-1)).toBe('end');
  expect(lines.length).toBeGreaterThan(400);
  expect(lines.slice(0, -1).every((line, index) => line.startsWith(`line ${String(index)} `))).toBe(true);
  for (const name of [file, `${file}.1`, `${file}.2`]) expect(statSync(name).mode & 0o777).toBe(0o600);
  expect(existsSync(`${file}.3`)).toBe(false);
  expect(statSync(file).size).toBeLessThan(40_000);
});

test('last(n) reads on in the rotated file, of the same generation only', async () => {
  await using place = scratch();
  const { file, log } = logIn(place, { maxBytes: 50, maxFiles: 2 });
  using _log = log;
  appendFileSync(file, 'an earlier generation\n');
  const { fd } = log.begin();
  appendFileSync(file, 'one\ntwo\nthree, which makes it large enough\n');
  await log.rotateIfLarge();
  expect(readFileSync(file, 'utf8')).toBe('');
  appendFileSync(fd, 'four\n');
  expect(log.last(10)).toEqual(['one', 'two', 'three, which makes it large enough', 'four']);
  expect(log.last(2)).toEqual(['three, which makes it large enough', 'four']);
});

test('a follower that has not read yet finds its lines in the rotated file', async () => {
  await using place = scratch();
  const { file, log } = logIn(place, { maxBytes: 10, maxFiles: 2 });
  using _log = log;
  const lines = collect(log);
  appendFileSync(file, 'one\ntwo\nthree\n');
  await log.rotateIfLarge();
  appendFileSync(file, 'four\n');
  await expect.poll(() => lines).toEqual(['one', 'two', 'three', 'four']);
});

describe.runIf(process.getuid?.() === 0)('a log of a full disk that has grown too large', () => {
  const maxBytes = 1 << 20;
  const linesOf = (from: number, count: number) =>
    Array.from({ length: count }, (_, at) => `line ${String(from + at)} of a process that writes a lot`);
  const textOf = (lines: readonly string[]) => `${lines.join('\n')}\n`;
  const many = linesOf(0, 40_000);

  test('keeps its newest lines and says what it dropped; its writer goes on, and its follower misses nothing', async () => {
    await using place = scratch();
    using disk = smallDisk(path.join(place.folder, 'disk'), 4);
    const { file, log } = logIn(place, { maxBytes, maxFiles: 3 }, path.join(place.folder, 'disk'));
    using _log = log;
    const { fd } = log.begin();
    const followed = collect(log);
    appendFileSync(fd, textOf(many));
    await expect.poll(() => followed.length).toBe(many.length);
    await expect.poll(() => statSync(file).size, { message: 'with room it is rotated' }).toBe(0);
    rmSync(`${file}.1`);
    appendFileSync(fd, textOf(many));
    disk.fill();
    await log.rotateIfLarge();

    expect(readdirSync(path.dirname(file))).toEqual(['ballast', 'unit.log']);
    expect(statSync(file).size).toBeLessThanOrEqual(maxBytes / 4 + 200);
    const [note, ...kept] = readFileSync(file, 'utf8').trimEnd().split('\n');
    expect(note).toMatch(/^k3s-lite: .* KiB|MiB before this line were dropped: the disk had no room to keep them$/);
    expect(kept.length).toBeGreaterThan(5000);
    expect(kept).toEqual(many.slice(-kept.length));
    expect(place.notices).toEqual([expect.stringMatching(/^no room to rotate .*: its oldest 1\.\d MiB were dropped$/)]);

    appendFileSync(fd, textOf(linesOf(40_000, 2)));
    expect(log.last(3)).toEqual([...many.slice(-1), ...linesOf(40_000, 2)]);
    expect(log.last(100_000)).toEqual([note, ...kept, ...linesOf(40_000, 2)]);
    await expect.poll(() => followed.at(-1)).toBe(linesOf(40_001, 1)[0]);
    // However much of the rest it had read before that was dropped.
    const since = new Set(followed.slice(many.length));
    expect(kept.filter((line) => !since.has(line))).toEqual([]);
  });

  test('takes the room of the copy that is to go anyway, and drops nothing else', async () => {
    await using place = scratch();
    const folder = path.join(place.folder, 'disk');
    using disk = smallDisk(folder, 8);
    const { file, log } = logIn(place, { maxBytes, maxFiles: 3 }, folder);
    using _log = log;
    const { fd } = log.begin();
    appendFileSync(fd, textOf(many));
    writeFileSync(`${file}.1`, textOf(['newer', ...many]));
    writeFileSync(`${file}.2`, textOf(['oldest', ...many]));
    disk.fill();
    await log.rotateIfLarge();
    expect(readFileSync(`${file}.2`, 'utf8').startsWith('newer\n')).toBe(true);
    expect(readFileSync(`${file}.1`, 'utf8')).toBe(textOf(many));
    expect(statSync(file).size).toBe(0);
    expect(place.notices).toEqual([]);
  });
});

test('a reader that throws is detached and named; the others go on', async () => {
  await using place = scratch();
  const { file, log } = logIn(place);
  using _log = log;
  log.follow(() => {
    throw new Error('broken reader');
  });
  const lines = collect(log);
  appendFileSync(file, 'one\ntwo\n');
  await expect.poll(() => lines).toEqual(['one', 'two']);
  expect(place.notices).toEqual([expect.stringContaining('broken reader')]);
});

test('logs are looked after every 30 s while they grow, ever rarer while they do not, never while nothing runs', async () => {
  const clock = fakeClock();
  const watch = createLogWatch(clock);
  let end = 0;
  let looks = 0;
  const log = {
    end: () => end,
    rotateIfLarge: () => {
      looks += 1;
      return Promise.resolve();
    },
  };
  expect(clock.pendingTimers).toBe(0);
  const added = watch.add(log);
  for (let round = 1; round <= 10; round += 1) {
    end += 1;
    await clock.advance(30_000);
    expect(looks).toBe(round);
  }
  await clock.advance(24 * 3_600_000);
  expect(looks).toBeLessThan(10 + 190);
  added[Symbol.dispose]();
  expect(clock.pendingTimers).toBe(0);
});
