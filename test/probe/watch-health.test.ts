import { expect, test } from 'vitest';
import type { NotifySocket, NotifyState } from '../../src/probe/notify-port.ts';
import { silentState } from '../../src/probe/notify-state.ts';
import { ProbeFailure, type Probe } from '../../src/probe/probe.ts';
import { watchWatchdog } from '../../src/probe/watchdog.ts';
import { watchHealth, type HealthChange, type WatchHealthOptions } from '../../src/probe/watch-health.ts';
import { fakeClock } from '../kit/fake-clock.ts';

/** `script`: one letter a check; + passes, - fails, ~ hangs. The last repeats. */
function watched(script: string, overrides: Partial<WatchHealthOptions> = {}) {
  const clock = fakeClock();
  const askedAtMs: number[] = [];
  const changes: HealthChange[] = [];
  let wake: (source: string) => void = () => undefined;
  let subscribed = 0;
  const probe: Probe = {
    describe: () => 'https /livez',
    check() {
      askedAtMs.push(clock.monotonicMs());
      const step = script.charAt(Math.min(askedAtMs.length, script.length) - 1);
      if (step === '~') return new Promise(() => undefined);
      return step === '+' ? Promise.resolve() : Promise.reject(new ProbeFailure('500 [-]etcd failed'));
    },
    onHint(callback) {
      wake = callback;
      subscribed += 1;
      return { [Symbol.dispose]: () => void (subscribed -= 1) };
    },
  };
  const watch = watchHealth({
    ...{ probe, component: 'kube-apiserver', generation: 4, clock, random: () => 0.5 },
    onChange: (change) => changes.push(change),
    ...overrides,
  });
  return {
    clock,
    askedAtMs,
    changes,
    watch,
    hint: () => wake('notify'),
    left: () => [clock.pendingTimers, subscribed],
  };
}

const states = (changes: readonly HealthChange[]) => changes.map(({ healthy }) => healthy);

test('health is asked every 5 s, for the first time after 5 s, and silence means that nothing changed', async () => {
  const { clock, askedAtMs, changes, watch, left } = watched('+');
  await clock.advance(20_000);
  expect(askedAtMs).toEqual([5_000, 10_000, 15_000, 20_000]);
  expect(changes).toEqual([]);
  watch[Symbol.dispose]();
  expect(left()).toEqual([0, 0]);
});

test('[S4] three failures in a row make it unhealthy, once, with an error of this generation; one pass makes it healthy', async () => {
  const { clock, changes } = watched('+--+---- +'.replaceAll(' ', ''));
  await clock.advance(35_000);
  expect(states(changes)).toEqual([false]);
  const [change] = changes;
  if (change?.healthy !== false) throw new Error('expected to be unhealthy');
  expect(change.generation).toBe(4);
  expect(change.error.message).toBe('lost kube-apiserver: https /livez: 500 [-]etcd failed (3 attempts, 10.0 s)');
  expect(change.error.detail).toMatchObject({ phase: 'health', generation: 4, attemptCount: 3 });
  await clock.advance(15_000);
  expect(changes.at(-1)).toEqual({ healthy: true, generation: 4 });
});

test('thresholds and time limit are those of the unit', async () => {
  const { clock, changes, askedAtMs } = watched('~+-+++', {
    failures: 1,
    successes: 2,
    everyMs: 1_000,
    timeoutMs: 100,
  });
  await clock.advance(1_100);
  expect(states(changes)).toEqual([false]);
  await clock.advance(3_000);
  expect(states(changes)).toEqual([false]);
  await clock.advance(1_000);
  expect(states(changes)).toEqual([false, true]);
  expect(askedAtMs.slice(0, 3)).toEqual([1_000, 2_100, 3_100]);
});

test('[S5] the time between two checks is jittered', async () => {
  const shares = [0, 0.999_999, 0.5];
  const { clock, askedAtMs } = watched('+', { everyMs: 1_000, random: () => shares.shift() ?? 0.5 });
  await clock.advance(3_100);
  expect(askedAtMs.map(Math.round)).toEqual([900, 2_000, 3_000]);
});

test('a hint is followed at once while unhealthy, and not while healthy', async () => {
  const { clock, askedAtMs, changes, hint } = watched('-+', { failures: 1 });
  hint();
  await clock.advance(5_000);
  expect(askedAtMs).toEqual([5_000]);
  await clock.advance(10);
  hint();
  hint();
  await clock.settle();
  expect(askedAtMs).toEqual([5_000, 5_010]);
  expect(states(changes)).toEqual([false, true]);
});

test('a watch that ends in the middle of a check tells nothing any more', async () => {
  const { clock, changes, watch, left } = watched('~', { failures: 1 });
  await clock.advance(5_500);
  watch[Symbol.dispose]();
  await clock.advance(60_000);
  expect(changes).toEqual([]);
  expect(left()).toEqual([0, 0]);
});

function watchdog() {
  const clock = fakeClock();
  const changes: HealthChange[] = [];
  const listeners = new Set<(state: NotifyState) => void>();
  let current = silentState;
  const socket = {
    get current() {
      return current;
    },
    subscribe(listener: (state: NotifyState) => void) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
  } as NotifySocket;
  const say = (state: Partial<NotifyState>) => {
    current = { ...current, ...state };
    for (const listener of listeners) listener(current);
  };
  const watch = watchWatchdog({
    ...{ socket, intervalMs: 10_000, component: 'containerd', generation: 2, clock },
    onChange: (change) => changes.push(change),
  });
  return { clock, changes, say, watch, ping: () => say({ watchdogAtMs: clock.monotonicMs() }), listeners };
}

test('a process that pings its watchdog in time stays healthy, and a missed ping makes it unhealthy', async () => {
  const { clock, changes, ping, watch, listeners } = watchdog();
  for (let round = 0; round < 5; round += 1) {
    await clock.advance(9_000);
    ping();
  }
  expect(changes).toEqual([]);
  expect(clock.pendingTimers).toBe(1);
  await clock.advance(10_000);
  const [change] = changes;
  if (change?.healthy !== false) throw new Error('expected to be unhealthy');
  expect(change.error.message).toBe('lost containerd: watchdog: no WATCHDOG=1 for 10.0 s (1 attempt, 10.0 s)');
  ping();
  expect(states(changes)).toEqual([false, true]);
  watch[Symbol.dispose]();
  expect([clock.pendingTimers, listeners.size]).toEqual([0, 0]);
});

test('a process may find its own watchdog failed, and may ask for another interval', async () => {
  const { clock, changes, say } = watchdog();
  say({ watchdogMs: 60_000 });
  await clock.advance(50_000);
  expect(changes).toEqual([]);
  say({ watchdogAtMs: Number.NEGATIVE_INFINITY });
  expect(states(changes)).toEqual([false]);
});
