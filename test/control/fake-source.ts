/** A program for the control server to speak for, made of latches: states are what a test sets. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ControlSource, ReloadOutcome } from '../../src/control/source.ts';
import { StartupError } from '../../src/error/startup-error.ts';
import { createEventStream } from '../../src/event/stream.ts';
import { readinessChannel } from '../../src/executor/channel.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { latch } from '../../src/kernel/latch.ts';
import { isUp, type UnitSnapshot } from '../../src/unit/state.ts';
import { fakeGraph } from '../kit/fake-graph.ts';
import { snapshot } from '../report/facts.ts';

export interface FakeLog {
  readonly lines: string[];
  readonly followers: Set<(line: string) => void>;
  write(line: string): void;
}

const nothingChanged: ReloadOutcome = {
  plan: { stop: [], restart: [], start: [], update: [] },
  notes: [],
  elapsedMs: 0,
  rolledBack: [],
  waiting: [],
};

export function fakeSource(notation: string, dataDir = '/data') {
  const graph = fakeGraph(notation);
  const events = createEventStream({ clock: systemClock, capacity: 1000 });
  const latches = new Map(graph.order.map((name) => [name, latch(snapshot(name, 'inactive'))]));
  const logs = new Map<string, FakeLog>();
  const downs: { hurry: boolean }[] = [];
  const asked: { action: string; units: readonly string[]; cascade: boolean }[] = [];
  const reloads: boolean[] = [];
  const hooks: { onDown?: () => void; onAsked?: () => void; onReload?: () => Promise<ReloadOutcome> } = {};
  const ask = (action: string, units: readonly string[], cascade: boolean) => {
    const moved = units.map((unit) => ({ unit, generation: latchOf(unit).current.generation }));
    asked.push({ action, units, cascade });
    hooks.onAsked?.();
    return { units: moved };
  };

  const latchOf = (name: string) => {
    const found = latches.get(name);
    if (found === undefined) throw new StartupError('ERR_UNKNOWN_UNIT', `there is no unit "${name}"`, { unit: name });
    return found;
  };
  const logOf = (unit: string): FakeLog => {
    let log = logs.get(unit);
    if (log === undefined) {
      const lines: string[] = [];
      const followers = new Set<(line: string) => void>();
      log = {
        lines,
        followers,
        write(line) {
          lines.push(line);
          for (const follower of [...followers]) follower(line);
        },
      };
      logs.set(unit, log);
    }
    return log;
  };

  const source: ControlSource = {
    executor: {
      graph,
      events,
      snapshots: () => graph.order.map((name) => latchOf(name).current),
      isReady: () => graph.order.every((name) => isUp(latchOf(name).current.state)),
      unit: (name) => readinessChannel(latchOf(name)),
      stopWaitsFor: () => [],
      startUnits: (units) => ask('start', units, false),
      stopUnits: (units, { cascade = false } = {}) => ask('stop', units, cascade),
      restartUnits: (units, { cascade = false } = {}) => ask('restart', units, cascade),
    },
    facts: () => ({ version: '1.2.3', pid: process.pid, dataDir, startedAtMs: Date.now() - 5000 }),
    log(unit) {
      const { lines, followers } = logOf(unit);
      return {
        last: (count) => (count === 0 ? [] : lines.slice(-count)),
        follow(listener) {
          followers.add(listener);
          return { [Symbol.dispose]: () => void followers.delete(listener) };
        },
      };
    },
    reload({ dryRun }) {
      reloads.push(dryRun);
      return hooks.onReload?.() ?? Promise.resolve(nothingChanged);
    },
    dump: () => path.join(dataDir, 'dump.json'),
    drawGraph: (format) => Promise.resolve(`graph as ${format}`),
    usage: () => new Map([['etcd', { cpuSeconds: 1.5, memoryBytes: 3 * 2 ** 20, processes: 1, source: 'cgroup' }]]),
    metrics: () => Promise.resolve('k3s_lite_ready 1\n'),
    down(options) {
      downs.push(options);
      hooks.onDown?.();
    },
  };
  return {
    source,
    events,
    downs,
    asked,
    reloads,
    hooks,
    logOf,
    set(next: UnitSnapshot) {
      latchOf(next.unit).set(next);
    },
  };
}

/** A folder that is gone when the test is over. Unix sockets need a short path. */
export function temporaryFolder(): Disposable & { readonly dir: string } {
  const dir = mkdtempSync(path.join(tmpdir(), 'k3sl-'));
  return { dir, [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }) };
}
