import { describe, expect, test } from 'vitest';
import { watchBudgets } from '../../src/app/budget-watch.ts';
import { budgetsOf } from '../../src/app/budgets.ts';
import type { StartupError } from '../../src/error/startup-error.ts';
import type { EventOf } from '../../src/event/event.ts';
import { createEventStream } from '../../src/event/stream.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { goodStart } from '../report/facts.ts';

const wanted = ['etcd', 'kube-apiserver', 'kubelet'];

describe('--budget', () => {
  test('is a list of units, or total, with durations', () => {
    const budget = ['etcd=800ms, kube-apiserver=8s', 'total=20s'];
    expect([...budgetsOf({ budget }, wanted)]).toEqual([
      ['etcd', 800],
      ['kube-apiserver', 8000],
      ['total', 20_000],
    ]);
    expect(budgetsOf({}, wanted).size).toBe(0);
  });

  test.each([
    ['kube-apisrver=8s', 'this start has no unit "kube-apisrver"; did you mean "kube-apiserver"?'],
    ['totl=8s', 'did you mean "total"?'],
    ['zebra=8s', '`k3s-lite plan` lists all'],
    ['etcd=8', '"8" is no duration; write it with its unit, like 800ms, 8s or 2m'],
    ['etcd', 'write UNIT=DURATION or total=DURATION, like kube-apiserver=8s'],
    ['etcd=', 'write UNIT=DURATION'],
    ['etcd=1s,etcd=2s', 'etcd has a budget already'],
  ])('%s is refused with a remedy', (text, problem) => {
    expect(() => budgetsOf({ budget: text }, wanted)).toThrow(problem);
    expect(() => budgetsOf({ budget: [text] }, wanted)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
  });
});

/** Plays the good start (etcd 0.4 s → kube-apiserver 2.6 s → kubelet 0.5 s) against budgets. */
async function play(budgets: Readonly<Record<string, number>>) {
  const clock = fakeClock(0);
  const events = createEventStream({ clock });
  const errors: StartupError[] = [];
  using _watch = watchBudgets({
    budgets: new Map(Object.entries(budgets)),
    events,
    clock,
    onExceeded: (error) => void errors.push(error),
  });
  for (const { monotonicMs, event } of goodStart()) {
    if (monotonicMs > clock.monotonicMs()) await clock.advance(monotonicMs - clock.monotonicMs());
    events.emit(event);
    await clock.settle();
  }
  await clock.advance(60_000);
  const told = events
    .history()
    .flatMap(({ event, monotonicMs }) => (event.type === 'budget.exceeded' ? [{ ...event, atMs: monotonicMs }] : []));
  return { told, errors, timers: clock.pendingTimers };
}

describe('the watch over budgets', () => {
  test('a unit is told at the moment that its own time is over, waiting apart, with the chain up to it', async () => {
    const { told, errors, timers } = await play({ 'kube-apiserver': 2000, kubelet: 501, etcd: 400 });
    expect(told).toEqual([
      {
        type: 'budget.exceeded',
        subject: 'kube-apiserver',
        limitMs: 2000,
        elapsedMs: 2001,
        atMs: 2401,
        chain: [
          { unit: 'etcd', selfMs: 400 },
          { unit: 'kube-apiserver', selfMs: 2001 },
        ],
      } satisfies EventOf<'budget.exceeded'> & { atMs: number },
    ]);
    expect(errors).toMatchObject([{ code: 'ERR_BUDGET', exitCode: 4, detail: { subject: 'kube-apiserver' } }]);
    expect(timers).toBe(0);
  });

  test('the whole start is told with the unit that has taken longest of those not ready', async () => {
    const { told } = await play({ total: 3200 });
    expect(told).toMatchObject([
      {
        subject: 'total',
        elapsedMs: 3201,
        atMs: 3201,
        chain: [{ unit: 'etcd' }, { unit: 'kube-apiserver' }, { unit: 'kubelet', selfMs: 201 }],
      },
    ]);
  });

  test('nothing is told of a start within its budgets', async () => {
    expect((await play({ total: 3500, kubelet: 500 })).told).toEqual([]);
  });
});
