import * as z from 'zod';
import { describe, expect, test } from 'vitest';
import { diffStarts } from '../../src/report/start-diff.ts';
import { startPlot } from '../../src/report/start-plot.ts';
import type { RecordedUnit, StartRecord } from '../../src/report/start-record.ts';
import { spansOf } from '../../src/report/start-spans.ts';
import { startTrace } from '../../src/report/start-trace.ts';
import { epochMs } from './facts.ts';

const unit = (name: string, change: Partial<RecordedUnit> = {}): RecordedUnit => ({
  name,
  kind: 'service',
  state: 'ready',
  attempts: 1,
  restarts: 0,
  ...change,
});
const times = (gatesOpenAtMs: number, spawnedAtMs: number, readyAtMs: number) => ({
  gatesOpenAtMs,
  waitingMs: gatesOpenAtMs,
  spawnedAtMs,
  readyAtMs,
  selfMs: readyAtMs - gatesOpenAtMs,
});

/** certificates (builtin) → etcd → kube-apiserver, and beside them <b>&"dns", fails, and one that waits for it. */
const failing: StartRecord = {
  version: 1,
  startedAtMs: epochMs,
  ready: false,
  totalMs: 4000,
  units: [
    unit('certificates', { kind: 'builtin', state: 'done', gatesOpenAtMs: 0, readyAtMs: 380, selfMs: 380 }),
    unit('etcd', { ...times(380, 390, 800), openedBy: 'certificates' }),
    unit('kube-apiserver', { ...times(800, 815, 3500), openedBy: 'etcd', restarts: 1 }),
    unit('<b>&"dns"', { state: 'backoff', gatesOpenAtMs: 100, spawnedAtMs: 120, error: 'exited with code 1' }),
    unit('late', { state: 'blocked', gatesOpenAtMs: 0 }),
  ],
};

test('the stages of a unit follow each other without gaps, from the start to the end of the record', () => {
  for (const each of failing.units) {
    const spans = spansOf(each, failing);
    expect(spans[0]?.fromMs).toBe(0);
    expect(spans.at(-1)?.toMs).toBe(4000);
    for (const [index, { fromMs }] of spans.entries()) if (index > 0) expect(fromMs).toBe(spans[index - 1]?.toMs);
  }
  const stages = (name: string) =>
    failing.units
      .filter((each) => each.name === name)
      .flatMap((each) => spansOf(each, failing).map(({ stage }) => stage));
  expect(stages('etcd')).toEqual(['waiting', 'spawn', 'until ready', 'ready']);
  expect(stages('certificates')).toEqual(['until ready', 'ready']);
  expect(stages('<b>&"dns"')).toEqual(['waiting', 'spawn', 'failing']);
  expect(stages('late')).toEqual(['waiting']);
});

test('[S8] the plot of a start (golden file)', async () => {
  const svg = startPlot(failing);
  expect(startPlot(failing)).toBe(svg);
  expect(svg).not.toContain('<b>');
  await expect(`${svg}\n`).toMatchFileSnapshot('start-plot.golden.svg');
});

test('the plot has well-formed elements, and the critical chain is bold', () => {
  const svg = startPlot(failing);
  const open: string[] = [];
  for (const [, close, name = '', selfClosing] of svg.matchAll(/<(\/?)(\w+)(?:\s+[\w-]+="[^"<]*")*\s*(\/?)>/g)) {
    if (close === '/') expect(open.pop()).toBe(name);
    else if (selfClosing !== '/') open.push(name);
  }
  expect(open).toEqual([]);
  // Every < begins an element that the pattern above knows.
  expect(svg.match(/</g)).toHaveLength([...svg.matchAll(/<(\/?)(\w+)(?:\s+[\w-]+="[^"<]*")*\s*(\/?)>/g)].length);
  const bold = [...svg.matchAll(/font-weight="bold">(\S+)/g)].map(([, name]) => name);
  expect(bold).toEqual(['certificates', 'etcd', 'kube-apiserver']);
});

/** Source: "Trace Event Format" of Chrome: the fields that each phase must have. */
const at = { pid: z.int(), tid: z.int(), name: z.string() };
const ts = z.int().nonnegative();
const traceSchema = z.strictObject({
  displayTimeUnit: z.enum(['ms', 'ns']),
  otherData: z.record(z.string(), z.unknown()),
  traceEvents: z.array(
    z.discriminatedUnion('ph', [
      z.strictObject({
        ...at,
        ph: z.literal('X'),
        cat: z.string(),
        ts,
        dur: ts,
        args: z.record(z.string(), z.unknown()),
      }),
      z.strictObject({
        ...at,
        ph: z.literal('M'),
        args: z.strictObject({ name: z.string() }).or(z.strictObject({ sort_index: z.int() })),
      }),
      z.strictObject({ ...at, ph: z.literal('s'), cat: z.string(), id: z.int(), ts }),
      z.strictObject({ ...at, ph: z.literal('f'), cat: z.string(), id: z.int(), ts, bp: z.literal('e') }),
      z.strictObject({ ...at, ph: z.literal('i'), s: z.enum(['g', 'p', 't']), ts }),
    ]),
  ),
});

describe('[S8] the trace of a start', () => {
  const { traceEvents } = traceSchema.parse(JSON.parse(JSON.stringify(startTrace(failing))));

  test('has a row for each unit, whose slices do not overlap', () => {
    const names = traceEvents.flatMap((event) =>
      event.ph === 'M' && event.name === 'thread_name' && 'name' in event.args ? [event.args.name] : [],
    );
    expect(names).toEqual(['start', ...failing.units.map(({ name }) => name)]);
    for (const tid of failing.units.keys()) {
      let end = 0;
      for (const event of traceEvents) {
        if (event.ph !== 'X' || event.tid !== tid + 1) continue;
        expect(event.ts).toBeGreaterThanOrEqual(end);
        end = event.ts + event.dur;
      }
      expect(end).toBe(4_000_000);
    }
  });

  test('arrows begin where a unit was ready and end in the row of the one that it let start', () => {
    const begins = traceEvents.filter(({ ph }) => ph === 's');
    const ends = traceEvents.filter(({ ph }) => ph === 'f');
    expect(begins).toMatchObject([
      { tid: 1, ts: 380_000 },
      { tid: 2, ts: 800_000 },
    ]);
    expect(ends).toMatchObject([{ tid: 2 }, { tid: 3 }]);
  });
});

describe('[S8] the comparison of starts', () => {
  const start = (own: Readonly<Record<string, number>>): StartRecord => ({
    version: 1,
    startedAtMs: epochMs,
    ready: true,
    totalMs: Math.max(...Object.values(own)),
    units: Object.entries(own).map(([name, selfMs]) => unit(name, { selfMs })),
  });
  const verdicts = (now: StartRecord, earlier: readonly StartRecord[]) =>
    diffStarts(now, earlier).units.map((each) => `${each.unit} ${each.verdict}`);

  test('significant differences come first, the largest before the others; new and lost units are named', () => {
    const before = start({ steady: 1000, slow: 400, slower: 500, fast: 900, old: 10 });
    const now = start({ steady: 1050, slow: 600, slower: 1500, fast: 300, fresh: 5 });
    expect(verdicts(now, [before])).toEqual([
      'slower slower',
      'slow slower',
      'fresh new',
      'fast faster',
      'old gone',
      'steady same',
    ]);
    expect(diffStarts(now, [before]).units[0]).toEqual({
      unit: 'slower',
      beforeMs: 500,
      nowMs: 1500,
      differenceMs: 1000,
      verdict: 'slower',
    });
  });

  test('a unit that scatters anyway is not accused, and one slow start in between does not count', () => {
    const earlier = [200, 420, 300, 5000, 350].map((noisy) => start({ noisy, calm: 300 }));
    expect(verdicts(start({ noisy: 600, calm: 300 }), earlier)).toEqual(['noisy same', 'calm same']);
    expect(verdicts(start({ noisy: 900, calm: 340 }), earlier)).toEqual(['noisy slower', 'calm slower']);
  });

  test('milliseconds are noise, and a unit that was not ready comes before all', () => {
    const now = start({ quick: 9, lost: 0 });
    const units = now.units.map((each) => (each.name === 'lost' ? unit('lost', { state: 'failed' }) : each));
    expect(verdicts({ ...now, units }, [start({ quick: 2, lost: 10 })])).toEqual(['lost not ready', 'quick same']);
  });
});
