import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { knownServersText, readKnownServers } from '../../../src/cluster/discovery/known-servers-file.ts';
import {
  askingOrder,
  forgetAfterMs,
  nextDueInMs,
  observed,
  withOthers,
  withServers,
  withTold,
  type KnownServers,
} from '../../../src/cluster/discovery/known-servers.ts';

const nowMs = 1_800_000_000_000;
const middle = () => 0.5;
const origin = (name: string) => `https://${name}:9345`;
const order = (known: KnownServers, atMs = nowMs) => askingOrder(known, atMs).map((one) => one.origin);
const answers = (known: KnownServers, name: string, tookMs: number, atMs = nowMs) =>
  observed(known, { origin: origin(name), ok: true, tookMs }, atMs, middle);
const fails = (known: KnownServers, name: string, atMs = nowMs) =>
  observed(known, { origin: origin(name), ok: false, reason: 'ECONNREFUSED' }, atMs, middle);

const three = withServers([], ['a', 'b', 'c'].map(origin));

describe('[H3] servers are asked', () => {
  test('the quicker first, then who was never asked, then who failed', () => {
    let known = withTold(three, [origin('d')], nowMs);
    known = answers(known, 'b', 5);
    known = answers(known, 'c', 2);
    known = fails(known, 'a', nowMs - 60_000);
    expect(order(known)).toEqual(['c', 'b', 'd', 'a'].map(origin));
  });

  test('by a latency that follows slowly: one slow answer changes nothing, many do', () => {
    let known = answers(answers(three, 'a', 10), 'b', 20);
    known = answers(known, 'a', 60);
    expect(order(known)[0]).toBe(origin('a'));
    for (let i = 0; i < 20; i += 1) known = answers(known, 'a', 60);
    expect(order(known)[0]).toBe(origin('b'));
  });
});

test('[H9] a server whose machine has fallen silent is asked last, and is asked', () => {
  const known = fails(answers(withServers(three, ['https://[fd00::1]:9345']), 'a', 1), 'b', nowMs - 60_000);
  const lost = askingOrder(known, nowMs, ['a', '192.0.2.9']).map((one) => one.origin);
  expect(lost).toEqual([origin('c'), 'https://[fd00::1]:9345', origin('b'), origin('a')]);
  expect(askingOrder(known, nowMs, ['a', 'b', 'c'])).toHaveLength(4);
});

describe('[H4] a server that failed', () => {
  test('is asked again after a delay that doubles up to half a minute, and others meanwhile', () => {
    let known = three;
    const waits: number[] = [];
    for (let i = 0; i < 8; i += 1) {
      known = fails(known, 'a');
      waits.push((known.find((one) => one.origin === origin('a'))?.retryAtMs ?? 0) - nowMs);
    }
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    expect(order(known).at(-1)).toBe(origin('a'));
    expect(nextDueInMs(known, nowMs)).toBe(0);
    known = fails(fails(known, 'b'), 'c');
    expect(nextDueInMs(known, nowMs)).toBe(500);
    expect(nextDueInMs(known, nowMs + 500)).toBe(0);
  });

  test('is as good as any other after one answer', () => {
    const known = answers(fails(fails(three, 'a'), 'a'), 'a', 3);
    expect(order(known)[0]).toBe(origin('a'));
    expect(known[0]).toMatchObject({ failures: 0, lastError: undefined });
  });
});

describe('[H2] what is known survives a restart', () => {
  test('with latency and last success; failures begin anew', () => {
    const known = fails(answers(three, 'b', 7), 'b');
    const { known: read, ignored } = readKnownServers(knownServersText(known), nowMs + 1000);
    expect(ignored).toBeUndefined();
    // Only what has answered is worth remembering; who is named is said by the command line.
    expect(read).toMatchObject([
      { origin: origin('b'), latencyMs: 7, lastSuccessMs: nowMs, failures: 0, source: 'learned' },
    ]);
    expect(order(withServers(read, [origin('a')]))).toEqual([origin('b'), origin('a')]);
  });

  test('who was told of by another server is kept too, though nobody has asked it yet', () => {
    const text = knownServersText(withTold(three, [origin('d')], nowMs));
    expect(readKnownServers(text, nowMs + forgetAfterMs - 1).known).toMatchObject([{ origin: origin('d') }]);
    expect(readKnownServers(text, nowMs + forgetAfterMs).known).toHaveLength(0);
    const toldAgain = withTold(readKnownServers(text, nowMs + 1000).known, [origin('d')], nowMs + 1000);
    expect(readKnownServers(knownServersText(toldAgain), nowMs + forgetAfterMs).known).toHaveLength(1);
  });

  test('what another process has learned is added, and does not undo what this one has seen', () => {
    const mine = fails(three, 'a');
    const others = answers(withTold(three, [origin('d')], nowMs), 'a', 5);
    expect(withOthers(mine, others).map((one) => [one.origin, one.failures])).toEqual([
      [origin('a'), 1],
      [origin('b'), 0],
      [origin('c'), 0],
      [origin('d'), 0],
    ]);
  });

  test('for a week', () => {
    const text = knownServersText(answers(three, 'b', 7));
    expect(readKnownServers(text, nowMs + forgetAfterMs - 1).known).toHaveLength(1);
    expect(readKnownServers(text, nowMs + forgetAfterMs).known).toHaveLength(0);
  });

  test.each([
    ['half of it', knownServersText(three).slice(0, 40), 'it is no JSON'],
    ['another version', '{"version":2,"servers":[]}', 'another version'],
    ['a plain URL', '{"version":1,"servers":[{"origin":"http://a","source":"given"}]}', 'damaged'],
  ])('and %s is ignored, with the reason', (_, text, why) => {
    expect(readKnownServers(text, nowMs)).toMatchObject({ known: [], ignored: expect.stringContaining(why) as string });
  });

  test('whatever the file holds, reading it never throws', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(readKnownServers(text, nowMs).known).toEqual([]);
      }),
    );
  });
});

test('any order of events keeps one entry for each server, and somebody to ask', () => {
  const event = fc.record({
    name: fc.constantFrom('a', 'b', 'c', 'd'),
    ok: fc.boolean(),
    tookMs: fc.nat(1000),
    passMs: fc.nat(60_000),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40 }), (events) => {
      let known = three;
      let atMs = nowMs;
      for (const { name, ok, tookMs, passMs } of events) {
        atMs += passMs;
        known = withTold(known, [origin(name)], atMs);
        known = ok ? answers(known, name, tookMs, atMs) : fails(known, name, atMs);
        expect(new Set(known.map((one) => one.origin)).size).toBe(known.length);
        expect(order(known, atMs)).toHaveLength(known.length);
        expect(nextDueInMs(known, atMs)).toBeLessThanOrEqual(30_000);
      }
    }),
  );
});
