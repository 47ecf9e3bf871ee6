/** After which starts of etcd kube-apiserver is restarted. */
import { expect, test } from 'vitest';
import {
  awaitedStart,
  longStartMs,
  triedForTooLongMs,
  type ApiServer,
  type AwaitedStart,
} from '../../src/app/long-start-of-etcd.ts';
import type { UnitStateName } from '../../src/unit/state.ts';
import { fakeClock } from '../kit/fake-clock.ts';

const api = (state: UnitStateName, generation = 1, desired: ApiServer['desired'] = 'up'): ApiServer => ({
  state,
  generation,
  desired,
});
type Step = readonly [afterMs: number, etcd: UnitStateName, apiServer: ApiServer];
const ready = api('ready');

test.each<readonly [what: string, steps: readonly Step[], triedMs: number | undefined]>([
  [
    'a long one',
    [
      [0, 'starting', ready],
      [longStartMs + 1, 'ready', ready],
    ],
    longStartMs + 1,
  ],
  [
    'one of two minutes',
    [
      [0, 'starting', ready],
      [longStartMs, 'ready', ready],
    ],
    undefined,
  ],
  [
    'a long one, of an API server that is unhealthy by it',
    [
      [0, 'starting', ready],
      [300_000, 'ready', api('unhealthy')],
    ],
    300_000,
  ],
  [
    'a long one, of an API server that is itself starting',
    [
      [0, 'starting', api('starting')],
      [300_000, 'ready', api('starting')],
    ],
    300_000,
  ],
  [
    'a long one, and the API server began when it was over',
    [
      [0, 'starting', api('waiting', 0)],
      [300_000, 'ready', api('starting', 1)],
    ],
    undefined,
  ],
  [
    'a long one, and the API server ran before and began anew',
    [
      [0, 'starting', ready],
      [300_000, 'ready', api('starting', 2)],
    ],
    undefined,
  ],
  [
    'a long one, and the API server has ended meanwhile',
    [
      [0, 'starting', ready],
      [300_000, 'ready', api('waiting')],
    ],
    undefined,
  ],
  [
    'a long one, and somebody stops the API server',
    [
      [0, 'starting', ready],
      [300_000, 'ready', api('ready', 1, 'down')],
    ],
    undefined,
  ],
  [
    'a long one that failed, and a short one',
    [
      [0, 'starting', ready],
      [300_000, 'backoff', ready],
      [0, 'waiting', ready],
      [0, 'starting', ready],
      [1000, 'ready', ready],
    ],
    undefined,
  ],
  [
    'none: unhealthy for long',
    [
      [0, 'ready', ready],
      [0, 'unhealthy', ready],
      [300_000, 'ready', ready],
    ],
    undefined,
  ],
])('%s', async (_what, steps, triedMs) => {
  const clock = fakeClock();
  let awaited: AwaitedStart | undefined;
  let last: number | undefined;
  for (const [afterMs, etcd, apiServer] of steps) {
    await clock.advance(afterMs);
    const seen = { etcd, apiServer, nowMs: clock.monotonicMs() };
    last = triedForTooLongMs(awaited, seen);
    awaited = awaitedStart(awaited, seen);
  }
  expect(last).toBe(triedMs);
  expect(awaited, 'forgotten once it is over').toBeUndefined();
});
