/** Why a unit is in its state: a tree of reasons down to the units that hold everything up. Pure. */
import { oneLine, rootLine } from '../error/render.ts';
import { errorToJson } from '../error/startup-error.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';
import { formatDurationMs } from '../kernel/duration.ts';
import { isUp, type UnitSnapshot } from '../unit/state.ts';
import type { WhyReply, WhyTree } from './protocol.ts';

export interface WhyInput {
  readonly unit: string;
  readonly snapshots: readonly UnitSnapshot[];
  readonly graph: Pick<UnitGraph, 'needs' | 'dependents' | 'has'>;
  /** Monotonic milliseconds, of the clock of the snapshots. */
  readonly nowMs: number;
  /** The last outcome of a starting unit's readiness check, if there was one. */
  lastCheckOf?(unit: string): string | undefined;
  /** Units that must have stopped before a stop of `unit` begins that was asked for. */
  stopWaitsFor?(unit: string): readonly string[];
}

export function explain({ unit, snapshots, graph, nowMs, lastCheckOf, stopWaitsFor }: WhyInput): WhyReply {
  const byName = new Map(snapshots.map((snapshot) => [snapshot.unit, snapshot]));
  const told = new Set<string>();
  const roots: WhyReply['roots'] = [];

  /** Dependents whose gate on `name` is closed. */
  const heldBy = (name: string): WhyTree['holdsUp'] =>
    (graph.has(name) ? graph.dependents(name) : []).flatMap(({ unit: dependent, need }) => {
      const waiting = byName.get(dependent);
      const isHeld = waiting?.waitingFor.some((gate) => gate.unit === name) === true;
      return isHeld ? [{ unit: dependent, kind: need.kind, state: waiting.state }] : [];
    });

  /** Those of them that have not stopped yet. */
  const stopsAfter = (name: string) =>
    (stopWaitsFor?.(name) ?? []).flatMap((other) => {
      const found = byName.get(other);
      return found === undefined || isDown(found) ? [] : [found];
    });

  /** The end of each chain of them: it waits for nothing but itself. */
  const lastToWaitFor = (names: readonly string[]): readonly UnitSnapshot[] => {
    const seen = new Set(names);
    const ends: UnitSnapshot[] = [];
    for (const name of seen) {
      const before = stopsAfter(name);
      for (const { unit: other } of before) seen.add(other);
      const found = byName.get(name);
      if (before.length === 0 && found !== undefined) ends.push(found);
    }
    return ends;
  };

  const treeOf = (snapshot: UnitSnapshot): WhyTree => {
    told.add(snapshot.unit);
    const { state, lastError, lastFailure, nextRetryAt, pid, status } = snapshot;
    const lastCheck = state === 'starting' ? lastCheckOf?.(snapshot.unit) : undefined;
    // What the user stopped waits for nothing.
    const isHeld = snapshot.stoppedByUser === true;
    const closed = new Set(snapshot.waitingFor.map((gate) => gate.unit));
    // One that a reload is removing is in the graph no more.
    const needs = graph.has(snapshot.unit) ? graph.needs(snapshot.unit) : [];
    const gates = needs.flatMap(({ unit: name, kind }): WhyTree['gates'] => {
      const target = byName.get(name);
      if (target === undefined) return [];
      const isOpen = !closed.has(name);
      const why = !isHeld && isWorthTelling(target, isOpen) && !told.has(name) ? { why: treeOf(target) } : {};
      return [{ unit: name, kind, isOpen, state: target.state, forMs: sinceMs(target, nowMs), ...why }];
    });
    if (!isUp(state) && closed.size === 0) roots.push(rootOf(snapshot, lastCheck, nowMs));
    return {
      unit: snapshot.unit,
      state,
      desired: snapshot.desired,
      ...(snapshot.stoppedByUser === true ? { stoppedByUser: true } : {}),
      forMs: sinceMs(snapshot, nowMs),
      generation: snapshot.generation,
      restarts: snapshot.restarts,
      ...(pid === undefined ? {} : { pid }),
      ...(status === undefined ? {} : { status }),
      ...(lastCheck === undefined ? {} : { lastCheck }),
      ...(lastError === undefined ? {} : { error: errorToJson(lastError) }),
      // Otherwise the error says it.
      ...(lastError !== undefined || lastFailure === undefined
        ? {}
        : { lastFailure: { text: lastFailure.text, agoMs: Math.max(0, nowMs - lastFailure.at.monotonicMs) } }),
      ...(nextRetryAt === undefined ? {} : { nextRetryInMs: Math.max(0, nextRetryAt.monotonicMs - nowMs) }),
      degraded: snapshot.degraded.map(({ cause, ...rest }) => ({
        ...rest,
        ...(cause === undefined ? {} : { cause: errorToJson(cause) }),
      })),
      gates,
      holdsUp: snapshot.unit === unit ? heldBy(unit) : [],
      stopsAfter:
        snapshot.unit === unit
          ? stopsAfter(unit).map((found) => ({ unit: found.unit, state: found.state, forMs: sinceMs(found, nowMs) }))
          : [],
    };
  };

  const snapshot = byName.get(unit);
  if (snapshot === undefined) throw new Error(`internal error: no snapshot of ${unit}`);
  const tree = treeOf(snapshot);
  for (const { unit: name, state, ...last } of tree.stopsAfter.length === 0 ? [] : lastToWaitFor([unit])) {
    roots.push({ unit: name, line: `${name} is ${state}, for ${formatDurationMs(sinceMs(last, nowMs))}` });
  }
  return { tree, roots: roots.filter((root) => root.unit !== unit || !isUp(snapshot.state)) };
}

/** A dependency that runs explains nothing; nor does an open gate to one that nobody wants up, unless the user stopped it. */
function isWorthTelling(target: UnitSnapshot, isOpen: boolean): boolean {
  return !isOpen || target.stoppedByUser === true || (!isUp(target.state) && target.desired === 'up');
}

function isDown({ state }: UnitSnapshot): boolean {
  return state === 'stopped' || state === 'inactive';
}

function sinceMs({ since }: Pick<UnitSnapshot, 'since'>, nowMs: number): number {
  return Math.max(0, nowMs - since.monotonicMs);
}

function rootOf(snapshot: UnitSnapshot, lastCheck: string | undefined, nowMs: number): WhyReply['roots'][number] {
  const { unit, state, lastError, desired } = snapshot;
  if (snapshot.stoppedByUser === true) {
    const hint = `\`k3s-lite start ${unit}\` starts it again`;
    return { unit, line: `${unit} is stopped by the user, for ${formatDurationMs(sinceMs(snapshot, nowMs))}`, hint };
  }
  if (lastError !== undefined && state !== 'starting' && state !== 'stopped') {
    const { hint } = lastError.detail;
    return { unit, line: rootLine(lastError), ...(hint === undefined ? {} : { hint }) };
  }
  const during = formatDurationMs(sinceMs(snapshot, nowMs));
  const wish = desired === 'down' ? ', because it is not wanted up' : '';
  const check = lastCheck === undefined ? '' : `: ${lastCheck}`;
  const before = lastError === undefined ? '' : ` (before: ${oneLine(lastError)})`;
  return { unit, line: `${unit} is ${state}, for ${during}${wish}${check}${before}` };
}
