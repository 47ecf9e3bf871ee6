/**
 * What `/metrics` tells of units, folded from the event stream and from nothing else.
 *
 * Counters must not forget what the stream's ring has overwritten: so this is a subscriber that
 * stays (a few hundred nanoseconds an event), and no fold of the history at each request. It begins
 * after the start, from the ring (app/after-start.ts), so it costs a start nothing.
 */
import type { Exit } from '../../error/readiness-error.ts';
import type { Envelope, EventOf } from '../../event/event.ts';
import type { EdgeKind } from '../../unit/schema.ts';
import { isUp, unitStates, type UnitSnapshot } from '../../unit/state.ts';
import type { Samples } from './exposition.ts';
import { probeKinds, stages, type ExitHow, type Stage } from './metric-table.ts';

export interface MetricsFold {
  onEvent(envelope: Envelope): void;
  onDropped(count: number): void;
  /** Adds the samples; `nowMs` (monotonic) because an edge that blocks now has been doing so until now. */
  collect(samples: Samples, nowMs: number): void;
}

interface UnitFigures {
  snapshot: UnitSnapshot | undefined;
  failures: number;
  oomKills: number;
  /** What its process tells of itself at present. */
  told: Readonly<Record<string, number>>;
  readonly exits: Map<ExitHow, number>;
  /** By "phase kind outcome". */
  readonly attempts: Map<string, number>;
  readonly edges: Map<string, { readonly kind: EdgeKind; totalMs: number; sinceMs: number | undefined }>;
  /** Of the start that is under way, monotonic milliseconds. */
  waitingAtMs: number | undefined;
  gatesOpenAtMs: number | undefined;
  spawnedAtMs: number | undefined;
  lastStartMs: Partial<Record<Stage, number>>;
}

export function metricsFold(): MetricsFold {
  const units = new Map<string, UnitFigures>();
  let missed = 0;
  let startMs: number | undefined;
  let isReady = false;

  const figuresOf = (name: string): UnitFigures => {
    let figures = units.get(name);
    if (figures === undefined) units.set(name, (figures = noFigures()));
    return figures;
  };

  return {
    onEvent({ event, monotonicMs }) {
      switch (event.type) {
        case 'up.started':
          for (const { name } of event.units) figuresOf(name);
          return;
        case 'up.ready':
          isReady = true;
          startMs ??= event.elapsedMs;
          return;
        case 'up.lost':
        case 'down.started':
          isReady = false;
          return;
        case 'unit.state':
          onState(figuresOf(event.unit), event.snapshot, monotonicMs);
          return;
        case 'unit.gate':
          closeEdge(figuresOf(event.unit), event.dependency, monotonicMs);
          return;
        case 'process.spawned':
          figuresOf(event.unit).spawnedAtMs = monotonicMs;
          return;
        case 'process.exited':
          increase(figuresOf(event.unit).exits, howOf(event.exit));
          figuresOf(event.unit).told = {};
          if (event.exit.kind !== 'code' && event.exit.outOfMemory !== undefined) figuresOf(event.unit).oomKills += 1;
          return;
        case 'probe.attempt':
          increase(figuresOf(event.unit).attempts, attemptKey(event));
          return;
        case 'notify.figures':
          figuresOf(event.unit).told = event.figures;
          return;
        case 'unit.failed':
          figuresOf(event.unit).failures += 1;
          return;
        default: // Nothing that is counted.
      }
    },
    onDropped: (count) => void (missed += count),
    collect(samples, nowMs) {
      samples.add('k3s_lite_ready', {}, isReady ? 1 : 0);
      if (startMs !== undefined) samples.add('k3s_lite_start_seconds', {}, startMs / 1000);
      for (const [unit, figures] of units) collectUnit(samples, unit, figures, nowMs);
      samples.add('k3s_lite_metrics_events_missed_total', {}, missed);
    },
  };
}

function noFigures(): UnitFigures {
  return {
    snapshot: undefined,
    failures: 0,
    oomKills: 0,
    told: {},
    exits: new Map(),
    attempts: new Map(),
    edges: new Map(),
    waitingAtMs: undefined,
    gatesOpenAtMs: undefined,
    spawnedAtMs: undefined,
    lastStartMs: {},
  };
}

function onState(figures: UnitFigures, snapshot: UnitSnapshot, atMs: number): void {
  const before = figures.snapshot?.state;
  figures.snapshot = snapshot;
  const closed = new Set(snapshot.waitingFor.map(({ unit }) => unit));
  for (const { unit, kind } of snapshot.waitingFor) {
    const edge = figures.edges.get(unit);
    if (edge === undefined) figures.edges.set(unit, { kind, totalMs: 0, sinceMs: atMs });
    else edge.sinceMs ??= atMs;
  }
  for (const dependency of figures.edges.keys()) if (!closed.has(dependency)) closeEdge(figures, dependency, atMs);
  if (snapshot.state === before) return;
  // Blocked or not: it has been waiting all the time.
  if (snapshot.state === 'waiting' && before !== 'blocked') figures.waitingAtMs = atMs;
  if (snapshot.state === 'starting') Object.assign(figures, { gatesOpenAtMs: atMs, spawnedAtMs: undefined });
  if (isUp(snapshot.state) && figures.gatesOpenAtMs !== undefined) onReady(figures, figures.gatesOpenAtMs, atMs);
}

/** A unit without a process of its own (a builtin) has no stage `spawn`. */
function onReady(figures: UnitFigures, gatesOpenAtMs: number, atMs: number): void {
  const { waitingAtMs, spawnedAtMs } = figures;
  figures.lastStartMs = {
    waiting: gatesOpenAtMs - (waitingAtMs ?? gatesOpenAtMs),
    ...(spawnedAtMs === undefined ? {} : { spawn: spawnedAtMs - gatesOpenAtMs }),
    until_ready: atMs - (spawnedAtMs ?? gatesOpenAtMs),
  };
  // From unhealthy back to ready is no start.
  figures.gatesOpenAtMs = undefined;
}

function closeEdge({ edges }: UnitFigures, dependency: string, atMs: number): void {
  const edge = edges.get(dependency);
  if (edge?.sinceMs === undefined) return;
  edge.totalMs += atMs - edge.sinceMs;
  edge.sinceMs = undefined;
}

function collectUnit(samples: Samples, unit: string, figures: UnitFigures, nowMs: number): void {
  const { snapshot, lastStartMs, edges, exits, attempts, failures, oomKills } = figures;
  for (const stage of stages) {
    const stageMs = lastStartMs[stage];
    if (stageMs !== undefined) samples.add('k3s_lite_unit_start_seconds', { unit, stage }, stageMs / 1000);
  }
  const present = snapshot?.state ?? 'inactive';
  for (const state of unitStates) samples.add('k3s_lite_unit_state', { unit, state }, state === present ? 1 : 0);
  samples.add('k3s_lite_unit_generation', { unit }, snapshot?.generation ?? 0);
  samples.add('k3s_lite_unit_restarts_total', { unit }, snapshot?.restarts ?? 0);
  samples.add('k3s_lite_unit_failures_total', { unit }, failures);
  samples.add('k3s_lite_unit_oom_kills_total', { unit }, oomKills);
  for (const [figure, value] of Object.entries(figures.told)) {
    samples.add('k3s_lite_unit_figure', { unit, figure }, value);
  }
  for (const [how, count] of exits) samples.add('k3s_lite_unit_exits_total', { unit, how }, count);
  for (const [key, count] of attempts) {
    const [phase = '', kind = '', outcome = ''] = key.split(' ');
    samples.add('k3s_lite_probe_attempts_total', { unit, phase, kind, outcome }, count);
  }
  for (const [dependency, { kind, totalMs, sinceMs }] of edges) {
    const blockedMs = totalMs + (sinceMs === undefined ? 0 : nowMs - sinceMs);
    samples.add('k3s_lite_edge_blocked_seconds_total', { unit, dependency, kind }, blockedMs / 1000);
  }
}

/** The first word of what a check says of itself is its kind: "https /readyz", "all(…)". */
function attemptKey({ phase, check, attempt }: EventOf<'probe.attempt'>): string {
  const word = /^[a-z]+/.exec(check)?.[0];
  const kind = probeKinds.find((known) => known === word) ?? 'other';
  return `${phase} ${kind} ${attempt.outcome === 'ok' ? 'passed' : 'failed'}`;
}

function howOf(exit: Exit): ExitHow {
  return exit.kind === 'code' && exit.code === 0 ? 'clean' : exit.kind;
}

function increase<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
