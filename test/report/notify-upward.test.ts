import { describe, expect, test } from 'vitest';
import { isStuck } from '../../src/app/service-manager.ts';
import { StartupError } from '../../src/error/startup-error.ts';
import type { Envelope, Event } from '../../src/event/event.ts';
import { emptyModel, fold } from '../../src/report/model.ts';
import { notifyUpward, statusText } from '../../src/report/notify-upward.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { envelopes, goodStart, moment, snapshot, state } from './facts.ts';

const monotonicUsec = () => 7_000_000n;
const begins = 'RELOADING=1 MONOTONIC_USEC=7000000 STATUS=reloading;';

const plan = { stop: [], restart: ['etcd'], start: [], update: [] };
const started: Event = { type: 'reload.started', plan, units: [], edges: [] };
const finished = (...rolledBack: readonly string[]): Event => ({
  type: 'reload.finished',
  plan,
  elapsedMs: 1,
  rolledBack: rolledBack.map((unit) => ({ unit, error: undefined })),
  waiting: [],
});
const refused = (message: string, detail: object = {}): Event => ({
  type: 'reload.refused',
  error: new StartupError('ERR_CONFIG', message, detail),
});

/** What is told for events after a good start, or instead of one. */
function toldFor(events: readonly Event[], before: readonly Envelope[] = goodStart()): readonly string[] {
  const told: string[] = [];
  using upward = notifyUpward({
    clock: fakeClock(0),
    pid: 42,
    monotonicUsec,
    send: (lines) => void told.push(lines.join(' ')),
  });
  for (const envelope of before) upward.onEvent(envelope);
  told.length = 0;
  for (const envelope of envelopes(...events.map((event) => [4000, event] as const))) upward.onEvent(envelope);
  return told;
}

describe('a reload', () => {
  const lost: Event = { type: 'up.lost', unit: 'etcd' };
  const ready: Event = { type: 'up.ready', elapsedMs: 1 };

  test('begins with RELOADING=1 and ends with READY=1, not before its end', () => {
    expect(toldFor([started, lost, ready, finished()])).toEqual([
      `${begins} 3 of 3 ready`,
      'READY=1 STATUS=3 of 3 ready',
    ]);
  });

  test('ends with READY=1 also when it was rolled back or what it started is not ready; the status says so', () => {
    const restarts = state('etcd', 'ready', snapshot('etcd', 'starting'));
    expect(toldFor([started, restarts, finished()])).toEqual([
      `${begins} 3 of 3 ready`,
      'READY=1 STATUS=2 of 3 ready; waiting for etcd',
    ]);
    expect(toldFor([started, finished('etcd', 'kubelet')]).at(-1)).toBe(
      'READY=1 STATUS=reload rolled back: etcd, kubelet; 3 of 3 ready',
    );
  });

  test('that is refused begins and ends at once, and says why in one line', () => {
    expect(toldFor([refused(`units/etcd.yaml:3:1: unknown key\nREADY=0 ${'x'.repeat(300)}`)])).toEqual([
      `${begins} 3 of 3 ready`,
      'READY=1 STATUS=reload refused: units/etcd.yaml:3:1: unknown key; 3 of 3 ready',
    ]);
    expect(toldFor([refused('x'.repeat(300))]).at(-1)?.length).toBeLessThan(260);
    // The next one makes it good.
    expect(toldFor([refused('no'), started, finished()]).at(-1)).toBe('READY=1 STATUS=3 of 3 ready');
  });

  test('that is refused because another one runs does not end that one', () => {
    expect(toldFor([started, refused('another reload is running', { reason: 'busy' })])).toHaveLength(1);
  });

  test('that is cut off by a stop ends with it; one during the start says nothing: both would be a READY=1 that is none', () => {
    const stop: Event = { type: 'down.started', reason: 'SIGTERM' };
    expect(toldFor([started, stop, refused('everything is being stopped')]).slice(1)).toEqual([
      'STOPPING=1 STATUS=stopping; 3 of 3 still up EXTEND_TIMEOUT_USEC=120000000',
    ]);
    expect(toldFor([started, finished(), refused('no')], goodStart().slice(0, -1))).toEqual([]);
  });
});

describe('what the service manager is told', () => {
  test('a start from its first word to READY=1, with more time for each step forward', async () => {
    const clock = fakeClock(0);
    const told: (readonly [number, string])[] = [];
    using upward = notifyUpward({
      clock,
      pid: 42,
      monotonicUsec,
      send: (lines) => void told.push([clock.monotonicMs(), lines.join(' ')]),
    });
    for (const envelope of goodStart()) {
      await clock.advance(Math.max(0, envelope.monotonicMs - clock.monotonicMs()));
      upward.onEvent(envelope);
    }
    const more = 'EXTEND_TIMEOUT_USEC=120000000';
    expect(told).toEqual([
      [0, 'MAINPID=42 STATUS=0 of 3 ready; waiting for etcd, kube-apiserver, kubelet'],
      [200, 'STATUS=0 of 3 ready; waiting for etcd'],
      [600, `STATUS=1 of 3 ready; waiting for kube-apiserver ${more}`],
      [3200, `STATUS=2 of 3 ready; waiting for kubelet ${more}`],
      [3500, 'READY=1 STATUS=3 of 3 ready'],
    ]);
    expect(clock.pendingTimers).toBe(0);
  });

  test('a unit that fails again and again buys no time', async () => {
    const clock = fakeClock(0);
    const told: string[] = [];
    using upward = notifyUpward({ clock, pid: 42, monotonicUsec, send: (lines) => void told.push(lines.join(' ')) });
    for (const [from, to] of [
      ['waiting', 'starting'],
      ['starting', 'backoff'],
      ['backoff', 'starting'],
    ] as const) {
      for (const envelope of envelopes([0, state('etcd', from, snapshot('etcd', to))])) upward.onEvent(envelope);
      await clock.advance(1000);
    }
    expect(told).toHaveLength(3);
    expect(told.join()).not.toContain('EXTEND_TIMEOUT_USEC');
  });

  test('a stop says so, and asks for time as units are gone', () => {
    const clock = fakeClock(0);
    const told: string[] = [];
    using upward = notifyUpward({ clock, pid: 42, monotonicUsec, send: (lines) => void told.push(lines.join(' ')) });
    for (const envelope of goodStart()) upward.onEvent(envelope);
    for (const envelope of envelopes([4000, { type: 'down.started', reason: 'SIGTERM' }])) upward.onEvent(envelope);
    expect(told.at(-1)).toBe('STOPPING=1 STATUS=stopping; 3 of 3 still up EXTEND_TIMEOUT_USEC=120000000');
  });

  test('of many units the first are named and the others counted', () => {
    const model = emptyModel();
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      for (const envelope of envelopes([0, state(name, 'waiting', snapshot(name, 'starting'))])) fold(model, envelope);
    }
    expect(statusText(model)).toBe('0 of 5 ready; waiting for a, b, c and 2 more');
  });
});

test.each([
  ['an overdue retry', snapshot('a', 'backoff', { nextRetryAt: moment(1000) }), true],
  ['a retry that is due just now', snapshot('a', 'backoff', { nextRetryAt: moment(9500) }), false],
  ['one that waits for nothing', snapshot('a', 'waiting'), true],
  [
    'one that waits for another',
    snapshot('a', 'waiting', { waitingFor: [{ unit: 'b', kind: 'hard', state: 'starting', since: moment(0) }] }),
    false,
  ],
  ['one that is ready', snapshot('a', 'ready'), false],
  ['one that is not wanted', snapshot('a', 'waiting', { desired: 'down' }), false],
])('the executor is stuck, or not: %s', (_name, unit, stuck) => {
  expect(isStuck(unit, 10_000, 1000)).toBe(stuck);
});
