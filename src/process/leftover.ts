/**
 * Processes of an earlier k3s-lite on the same data directory that are still alive: after a
 * `kill -9` of it, its units go on. `up` adopts those that match and ends the others, before it
 * starts its own. Which match is not decided here (executor/plan-adoption).
 *
 * They are known by their run records, and by the marker in their environment where a record is
 * missing or a child has left its group. Where a unit's stop scope is its main process alone
 * (containerd), only that is ended: what it started is meant to live on.
 */
import { rmSync } from 'node:fs';
import path from 'node:path';
import type { Clock } from '../kernel/clock.ts';
import { findCgroup } from './cgroup.ts';
import { removeLimitFolders } from './limit-groups.ts';
import { isDead, type ProcessId, type ProcReader, programOf, systemProc } from './proc-reader.ts';
import { markerVariable, parseMarker, type RunMarker } from './run-marker.ts';
import { type Notice, openRunRecords, type RunRecord, type RunRecords } from './run-record.ts';
import { findMembers, type StopTarget } from './scope-members.ts';
import { rememberingScan } from './shared-scan.ts';
import { stopProcesses } from './stop.ts';

/** What is there of one earlier run: living processes, or a task that has ended well (then there may be none). */
export interface Leftover {
  readonly unit: string;
  readonly generation: number;
  readonly pids: readonly number[];
  /** The run as it was recorded; undefined when only its marker was found. Adoption starts from it. */
  readonly record: RunRecord | undefined;
  /** The main process of the record is among them. */
  readonly isMainAlive: boolean;
  readonly target: StopTarget;
}

export interface LeftoverOptions {
  readonly recordDir: string;
  /** As given to the process layer. */
  readonly marker: string;
  /**
   * The program of a unit (the first word of its `run`). Where a unit's scope is its main process and
   * there is no record of it, this tells it from what it started.
   */
  readonly programOf?: (unit: string) => string | undefined;
  readonly notice?: Notice;
  readonly proc?: ProcReader;
}

/** Looks once at every process of the machine. Records of runs that have ended are removed. */
export function findLeftovers(options: LeftoverOptions): readonly Leftover[] {
  const { proc = systemProc, notice = () => undefined } = options;
  return find(options, openRunRecords(options.recordDir, notice), proc, notice);
}

function find(
  { marker, programOf: unitProgram }: LeftoverOptions,
  records: RunRecords,
  reader: ProcReader,
  notice: Notice,
): readonly Leftover[] {
  // Otherwise every process would be read once for each record: seconds with some hundred units.
  const proc = rememberingScan(reader);
  const marked = findMarked(marker, proc);
  const leftovers: Leftover[] = [];
  const found = new Set<string>();
  for (const record of records.readAll()) {
    const target: StopTarget = {
      pid: record.pid,
      startTicks: record.startTicks,
      scope: record.scope,
      run: record.run,
      cgroup: record.cgroup === undefined ? undefined : findCgroup(record.cgroup, marker),
    };
    found.add(record.run);
    const isOfThisBoot = record.bootId === proc.bootId();
    const pids = isOfThisBoot ? findMembers(target, proc).map(({ pid }) => pid) : [];
    const { unit, generation } = record;
    const leftover = { unit, generation, pids, record, isMainAlive: pids.includes(record.pid), target };
    if (pids.length > 0 || (isOfThisBoot && record.finished === true)) leftovers.push(leftover);
    else forget(leftover, records, marker);
  }
  for (const [text, { run, members }] of marked) {
    const [oldest] = members;
    if (found.has(text) || oldest === undefined) continue;
    const pids = members.map(({ pid }) => pid);
    const isMainAlive = false;
    if (run.scope === 'process') {
      const main = hasRecord(leftovers, run) ? undefined : mainOf(members, unitProgram?.(run.unit));
      if (main !== undefined) {
        const target: StopTarget = { ...main, scope: 'process', run: text };
        const { unit, generation } = run;
        leftovers.push({ unit, generation, pids: [main.pid], record: undefined, isMainAlive, target });
      } else if (!hasRecord(leftovers, run)) {
        // Its main process cannot be told from what it started and what is meant to live on.
        notice(`processes started by an earlier ${run.unit} are still alive: ${pids.join(', ')}`, run.unit);
      }
      continue;
    }
    // No record tells its main process: the oldest stands for it, and the marker finds the others.
    const target: StopTarget = { ...oldest, scope: 'cgroup', run: text };
    leftovers.push({ unit: run.unit, generation: run.generation, pids, record: undefined, isMainAlive, target });
  }
  return leftovers;
}

/** The oldest that runs the unit's program. */
function mainOf(members: readonly ProcessId[], program: string | undefined): ProcessId | undefined {
  if (program === undefined) return undefined;
  return members.find(({ pid }) => path.basename(programOf(pid) ?? '') === path.basename(program));
}

/** Nothing of it is alive: what it leaves in the file system goes. */
function forget({ unit, target, record }: Leftover, records: RunRecords, marker: string): void {
  target.cgroup?.remove();
  removeLimitFolders(record?.limitFolders ?? [], marker);
  if (record?.notifySocket !== undefined) rmSync(record.notifySocket, { force: true });
  records.remove(unit, target.run);
}

const hasRecord = (leftovers: readonly Leftover[], { unit }: RunMarker) =>
  leftovers.some(({ unit: name, record }) => name === unit && record !== undefined);

interface Marked {
  readonly run: RunMarker;
  /** Oldest first. */
  readonly members: ProcessId[];
}

function findMarked(marker: string, proc: ProcReader): ReadonlyMap<string, Marked> {
  const marked = new Map<string, Marked>();
  for (const pid of proc.pids()) {
    if (pid === process.pid) continue;
    const text = proc.environ(pid, markerVariable);
    const run = text === undefined ? undefined : parseMarker(text);
    if (text === undefined || run?.marker !== marker) continue;
    const stat = proc.stat(pid);
    if (stat === undefined || isDead(stat)) continue;
    const entry = marked.get(text) ?? { run, members: [] };
    entry.members.push({ pid, startTicks: stat.startTicks });
    marked.set(text, entry);
  }
  for (const { members } of marked.values()) members.sort((a, b) => a.startTicks - b.startTicks || a.pid - b.pid);
  return marked;
}

export interface EndLeftoversOptions extends LeftoverOptions {
  readonly clock: Clock;
  /** Default: all that are found. */
  readonly leftovers?: readonly Leftover[];
  /**
   * Groups of unit names, each group ended together and before the next: the stop order. Units that
   * it does not name (they are no longer in the graph) are ended first.
   */
  readonly order?: readonly (readonly string[])[];
  readonly hurry?: AbortSignal;
  /** Called before anything is ended. */
  readonly onFound?: (leftover: Leftover) => void;
  readonly onStep?: (unit: string, signal: string, remaining: readonly number[]) => void;
}

/** @returns pids that are alive after SIGKILL, by unit; empty when all is clean */
export async function endLeftovers(options: EndLeftoversOptions): Promise<ReadonlyMap<string, readonly number[]>> {
  const { clock, order = [], hurry, onFound, onStep, notice = () => undefined, proc = systemProc } = options;
  const records = openRunRecords(options.recordDir, notice);
  const leftovers = options.leftovers ?? find(options, records, proc, notice);
  for (const leftover of leftovers) if (leftover.pids.length > 0) onFound?.(leftover);
  const named = new Set(order.flat());
  const unnamed = leftovers.map(({ unit }) => unit).filter((unit) => !named.has(unit));
  const survivors = new Map<string, readonly number[]>();
  for (const group of [unnamed, ...order]) {
    await Promise.all(
      leftovers
        .filter(({ unit }) => group.includes(unit))
        .map(async (leftover) => {
          const { unit, target, record } = leftover;
          const remaining = await stopProcesses({
            target,
            signal: (record?.stopSignal ?? 'SIGTERM') as NodeJS.Signals,
            withinMs: record?.stopWithinMs ?? defaultWithinMs,
            hurry,
            onStep: (signal, pids) => onStep?.(unit, signal, pids),
            clock,
            proc,
          });
          if (remaining.length > 0) {
            survivors.set(unit, [...(survivors.get(unit) ?? []), ...remaining]);
            return;
          }
          forget(leftover, records, options.marker);
        }),
    );
  }
  return survivors;
}

/** Source: default of `stop.within` in the unit schema. */
const defaultWithinMs = 10_000;
