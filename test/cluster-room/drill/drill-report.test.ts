import { expect, test } from 'vitest';
import { drillReport, type DrillFacts, type Sample } from '../../../src/cluster/drill/drill-report.ts';

const ok = (kind: Sample['kind'], begunMs: number, endedMs = begunMs + 10, tries = 1): Sample => ({
  kind,
  begunMs,
  endedMs,
  tries,
});
const steady = (kind: Sample['kind'], fromMs: number, untilMs: number, everyMs: number): Sample[] =>
  Array.from({ length: Math.floor((untilMs - fromMs) / everyMs) }, (_, at) => ok(kind, fromMs + at * everyMs));
const leaders = {
  before: { controllerManager: 's1', scheduler: 's2' },
  after: { controllerManager: 's3', scheduler: 's2' },
};
const facts = (samples: readonly Sample[]): DrillFacts => ({
  server: 's1',
  others: ['192.0.2.2:6443', '192.0.2.3:6443'],
  frozen: ['etcd', 'kube-apiserver'],
  awayFromMs: 3_000,
  awayUntilMs: 13_000,
  samples,
  leaders,
  boundMs: 2_000,
});

test('what nobody noticed is proven', () => {
  const report = drillReport(facts([...steady('read', 0, 16_000, 50), ...steady('write', 0, 16_000, 200)]));
  expect(report).toMatchObject({
    server: 's1',
    awayMs: 10_000,
    reads: { requests: 320, retried: 0, failed: 0, longestGapMs: 50 },
    writes: { requests: 80, retried: 0, failed: 0, longestGapMs: 200 },
    leaders,
    errors: [],
    violations: [],
  });
});

test('answers that come late, out of order or at the second try count by when they came', () => {
  const slow = [ok('read', 100, 1_900, 2), ok('read', 150, 1_600, 2), ok('read', 2_000)];
  const { reads } = drillReport(facts([ok('read', 0, 90), ...slow]));
  expect(reads).toEqual({ requests: 4, retried: 2, failed: 0, longestGapMs: 1_510 });
});

test('a gap longer than the bound is a violation, with its length, even if no request has failed', () => {
  const samples = [...steady('read', 0, 5_000, 50), ok('read', 5_000, 7_500, 2), ...steady('write', 0, 8_000, 200)];
  const { reads, violations } = drillReport(facts(samples));
  expect(reads.failed).toBe(0);
  expect(violations).toEqual(['2.5 s without an answer to a read, and 2.0 s are allowed']);
});

test('requests that fail are counted by their reason; a silence until the end is a gap', () => {
  const failed = (begunMs: number, error: string): Sample => ({ ...ok('write', begunMs, begunMs + 100, 2), error });
  const samples = [
    ...steady('read', 0, 8_000, 50),
    ok('write', 0),
    ...[1_000, 2_000, 3_000].map((begunMs) => failed(begunMs, 'ECONNRESET')),
    failed(4_000, 'no answer within 1 s'),
  ];
  const { writes, errors, violations } = drillReport(facts(samples));
  expect(writes).toEqual({ requests: 5, retried: 4, failed: 4, longestGapMs: 4_090 });
  expect(errors).toEqual([
    { error: 'ECONNRESET', count: 3 },
    { error: 'no answer within 1 s', count: 1 },
  ]);
  expect(violations).toEqual(['4.1 s without an answer to a write, and 2.0 s are allowed']);
});

test('nothing asked proves nothing', () => {
  expect(drillReport(facts([])).violations).toEqual(['no read was asked for', 'no write was asked for']);
});
