/** A process layer in a temporary folder; everything that it started is ended with the test. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../../src/kernel/clock.ts';
import { type CgroupTree, openCgroupTree } from '../../src/process/cgroup.ts';
import {
  createProcessLayer,
  type ProcessLayer,
  type ProcessLayerOptions,
} from '../../src/process/create-process-layer.ts';
import { openLimitGroups } from '../../src/process/limit-groups.ts';
import { isDead, systemProc } from '../../src/process/proc-reader.ts';
import type { RunningProcess } from '../../src/process/process-port.ts';
import { markerVariable } from '../../src/process/run-marker.ts';
import { type Unit, type UnitInput, unitSchema } from '../../src/unit/schema.ts';

export function unitOf(name: string, input: Omit<UnitInput, 'about'>): Unit {
  return { ...unitSchema.parse({ about: name, ...input }), name, hash: '0123456789abcdef', places: new Map() };
}

export interface Scratch extends AsyncDisposable {
  readonly folder: string;
  readonly logDir: string;
  readonly recordDir: string;
  readonly marker: string;
  readonly cgroup: CgroupTree | undefined;
  readonly layer: ProcessLayer;
  readonly notices: string[];
  launch(unit: Unit, generation?: number, extraEnv?: Record<string, string>): RunningProcess;
  logText(unit: string): string;
}

let scratches = 0;

export function scratch({
  withCgroup = false,
  ...options
}: Partial<ProcessLayerOptions> & { readonly withCgroup?: boolean } = {}): Scratch {
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-process-'));
  scratches += 1;
  const marker = `test-${String(process.pid)}-${String(scratches)}`;
  const notices: string[] = [];
  const notice = (text: string) => void notices.push(text);
  const logDir = path.join(folder, 'logs');
  const recordDir = path.join(folder, 'records');
  const cgroup = withCgroup ? openCgroupTree({ instance: marker, notice }) : undefined;
  const layer = createProcessLayer({
    clock: systemClock,
    logDir,
    recordDir,
    marker,
    cgroup,
    limitGroups: openLimitGroups({ instance: marker, notice }),
    baseEnv: process.env,
    defaultCwd: folder,
    notice,
    ...options,
  });
  return {
    folder,
    logDir,
    recordDir,
    marker,
    cgroup,
    layer,
    notices,
    launch: (unit, generation = 1, extraEnv = {}) => layer.launch({ unit, generation, extraEnv }),
    logText: (unit) => readFileSync(path.join(logDir, `${unit}.log`), 'utf8'),
    async [Symbol.asyncDispose]() {
      // A failed test may leave processes: the marker finds them.
      for (let round = 0; round < 20; round += 1) {
        const left = markedPids(marker);
        if (left.length === 0) break;
        for (const pid of left) kill(pid);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await layer[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Living processes that carry the marker. */
export function markedPids(marker: string): number[] {
  return systemProc.pids().filter((pid) => {
    if (systemProc.environ(pid, markerVariable)?.startsWith(`${marker}/`) !== true) return false;
    const stat = systemProc.stat(pid);
    return stat !== undefined && !isDead(stat);
  });
}

export function isRunning(pid: number): boolean {
  const stat = systemProc.stat(pid);
  return stat !== undefined && !isDead(stat);
}

export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}
