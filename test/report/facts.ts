/** Events, snapshots and errors for tests of what people see, in a few words each. */
import { AttemptLog, ReadinessError, type ReadinessDetail } from '../../src/error/readiness-error.ts';
import type { Envelope, Event } from '../../src/event/event.ts';
import type { Moment, UnitSnapshot, UnitStateName } from '../../src/unit/state.ts';

/** Wall time of monotonic 0. */
export const epochMs = Date.UTC(2026, 0, 1);

export const moment = (monotonicMs: number): Moment => ({ wallMs: epochMs + monotonicMs, monotonicMs });

export function snapshot(unit: string, state: UnitStateName, change: Partial<UnitSnapshot> = {}): UnitSnapshot {
  return {
    unit,
    state,
    desired: 'up',
    generation: 1,
    since: moment(0),
    restarts: 0,
    waitingFor: [],
    degraded: [],
    exhausted: false,
    ...change,
  };
}

export function readinessError(
  code: ConstructorParameters<typeof ReadinessError>[0],
  component: string,
  detail: Partial<ReadinessDetail> = {},
  cause?: unknown,
): ReadinessError {
  return new ReadinessError(
    code,
    {
      component,
      generation: 1,
      check: 'process',
      phase: 'startup',
      reason: 'not ready',
      attempts: [],
      attemptCount: 0,
      elapsedMs: 0,
      lastLogLines: [],
      ...detail,
    },
    cause === undefined ? undefined : { cause },
  );
}

/** etcd's port is held by a stranger; kube-apiserver and kubelet are blocked by it. */
export function portConflict() {
  const attempts = new AttemptLog();
  const etcd = readinessError('ERR_EXITED', 'etcd', {
    reason: 'exited with code 1: bind: address already in use (2379 is held by pid 812 etcd)',
    attempts: attempts.kept,
    exit: { kind: 'code', code: 1 },
    lastLogLines: ['{"level":"info","msg":"starting etcd"}', 'listen tcp 127.0.0.1:2379: bind: address already in use'],
    hint: 'stop pid 812, or choose another port with --etcd-client-port',
  });
  const apiserver = readinessError('ERR_BLOCKED', 'kube-apiserver', { check: 'gate', reason: 'etcd' }, etcd);
  const kubelet = readinessError('ERR_BLOCKED', 'kubelet', { check: 'gate', reason: 'kube-apiserver' }, apiserver);
  return { etcd, apiserver, kubelet };
}

/** Numbers events from 1; `at` is their monotonic time in milliseconds. */
export function envelopes(...timed: readonly (readonly [at: number, event: Event])[]): Envelope[] {
  return timed.map(([at, event], index) => ({ seq: index + 1, ...moment(at), event }));
}

export const state = (unit: string, from: UnitStateName, next: UnitSnapshot): Event => ({
  type: 'unit.state',
  unit,
  from,
  snapshot: next,
});

/** etcd → apiserver → kubelet, each hard. */
export const upStarted: Event = {
  type: 'up.started',
  units: [
    { name: 'etcd', about: 'datastore', kind: 'service' },
    { name: 'kube-apiserver', about: 'API', kind: 'service' },
    { name: 'kubelet', about: 'node', kind: 'service' },
  ],
  edges: [
    { from: 'kube-apiserver', to: 'etcd', kind: 'hard' },
    { from: 'kubelet', to: 'kube-apiserver', kind: 'hard' },
  ],
};

const waits = (on: string) => ({
  unit: on,
  kind: 'hard' as const,
  state: 'starting' as const,
  since: moment(0),
});

/** A start in which everything goes well: etcd 0–400 ms, kube-apiserver 400–3000, kubelet 3000–3500. */
export function goodStart(): Envelope[] {
  const waiting = (unit: string, on: string): (readonly [number, Event])[] => [
    [0, state(unit, 'inactive', snapshot(unit, 'waiting'))],
    [0, state(unit, 'waiting', snapshot(unit, 'waiting', { waitingFor: [waits(on)] }))],
  ];
  const run = (unit: string, pid: number, fromMs: number, toMs: number): (readonly [number, Event])[] => [
    [fromMs, state(unit, 'waiting', snapshot(unit, 'starting', { since: moment(fromMs) }))],
    [fromMs + 2, { type: 'process.spawned', unit, generation: 1, pid, argv: [unit, '--token=abc'] }],
    [fromMs + 2, state(unit, 'starting', snapshot(unit, 'starting', { since: moment(fromMs), pid }))],
    [toMs, state(unit, 'starting', snapshot(unit, 'ready', { since: moment(toMs), pid, readyAt: moment(toMs) }))],
  ];
  const gate = (unit: string, dependency: string, atMs: number): readonly [number, Event] => [
    atMs,
    { type: 'unit.gate', unit, dependency, kind: 'hard', last: true },
  ];
  return envelopes(
    [0, upStarted],
    [0, state('etcd', 'inactive', snapshot('etcd', 'waiting'))],
    ...waiting('kube-apiserver', 'etcd'),
    ...waiting('kubelet', 'kube-apiserver'),
    ...run('etcd', 101, 0, 400),
    gate('kube-apiserver', 'etcd', 400),
    ...run('kube-apiserver', 102, 400, 3000),
    gate('kubelet', 'kube-apiserver', 3000),
    ...run('kubelet', 103, 3000, 3500),
    [3500, { type: 'up.ready', elapsedMs: 3500 }],
  );
}
