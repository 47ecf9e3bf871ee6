/** An executor with real processes and real probes in a temporary folder; nothing of it outlives the test. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createLocalExecutor, type LocalExecutor } from '../../src/executor/local-executor.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { systemProc } from '../../src/process/proc-reader.ts';
import { markerVariable } from '../../src/process/run-marker.ts';
import { fakeGraph, type UnitChange } from '../kit/fake-graph.ts';

const serviceScript = fileURLToPath(new URL('fixtures/service.sh', import.meta.url));

export interface Stamp {
  readonly atMs: number;
  readonly what: 'start' | 'ready' | 'stop';
  readonly unit: string;
}

export interface RealWorld extends AsyncDisposable {
  readonly executor: LocalExecutor;
  file(name: string): string;
  write(name: string): void;
  /** What the processes themselves have written down, in the order of their clocks. */
  stamps(): readonly Stamp[];
  stampOf(unit: string, what: Stamp['what']): number;
  /** Living processes of this world. */
  pids(): readonly number[];
}

/** What a unit's change can be made from. */
export interface Paths {
  file(name: string): string;
  /** A process that stamps its start, readiness (after `delayS` seconds) and stop. */
  service(name: string, delayS?: number): UnitChange;
}

let worlds = 0;

export function realWorld(
  notation: string,
  changes: (paths: Paths) => Readonly<Record<string, UnitChange>>,
): RealWorld {
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-executor-'));
  worlds += 1;
  const instance = `executor-test-${String(process.pid)}-${String(worlds)}`;
  const file = (name: string) => path.join(folder, name);
  const service = (name: string, delayS?: number): UnitChange => ({
    run: [
      '/bin/sh',
      serviceScript,
      file('stamps'),
      name,
      file(`${name}.ready`),
      ...(delayS === undefined ? [] : [String(delayS)]),
    ],
    ready: { file: file(`${name}.ready`) },
  });
  const given = changes({ file, service });
  // Process groups are enough here; cgroups are proven in the process room.
  const grouped = Object.fromEntries(
    Object.entries(given).map(([name, change]) => [
      name,
      { ...change, stop: { scope: 'group' as const, ...change.stop } },
    ]),
  );
  const executor = createLocalExecutor({ graph: fakeGraph(notation, grouped), dataDir: folder, instance });
  const pids = () =>
    systemProc.pids().filter((pid) => systemProc.environ(pid, markerVariable)?.startsWith(`${instance}/`) === true);
  const stamps = () =>
    readFileSync(file('stamps'), 'utf8')
      .trim()
      .split('\n')
      .map((line): Stamp => {
        const [nanoseconds = '', what = '', unit = ''] = line.split(' ');
        return { atMs: Number(BigInt(nanoseconds) / 1000n) / 1000, what: what as Stamp['what'], unit };
      })
      .sort((a, b) => a.atMs - b.atMs);
  return {
    executor,
    file,
    write: (name) => writeFileSync(file(name), ''),
    stamps,
    stampOf(unit, what) {
      const found = stamps().find((stamp) => stamp.unit === unit && stamp.what === what);
      if (found === undefined) throw new Error(`${unit} has not stamped its ${what}`);
      return found.atMs;
    },
    pids,
    async [Symbol.asyncDispose]() {
      const hurry = new AbortController();
      hurry.abort(new Error('the test is over'));
      await executor.stop({ hurry: hurry.signal });
      await executor[Symbol.asyncDispose]();
      for (const pid of pids()) process.kill(pid, 'SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export const nowMs = () => systemClock.monotonicMs();
