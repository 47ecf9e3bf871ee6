import { describe, expect, test } from 'vitest';
import { isStuck } from '../../src/app/service-manager.ts';
import { emptyModel, fold } from '../../src/report/model.ts';
import { notifyUpward, statusText } from '../../src/report/notify-upward.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { envelopes, goodStart, moment, snapshot, state } from './facts.ts';

describe('what the service manager is told', () => {
  test('a start from its first word to READY=1, with more time for each step forward', async () => {
    const clock = fakeClock(0);
    const told: (readonly [number, string])[] = [];
    using upward = notifyUpward({
      clock,
      pid: 42,
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
    using upward = notifyUpward({ clock, pid: 42, send: (lines) => void told.push(lines.join(' ')) });
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
    using upward = notifyUpward({ clock, pid: 42, send: (lines) => void told.push(lines.join(' ')) });
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
