/**
 * The inner state of a running k3s-lite as one JSON file, for somebody who has to find out why it does
 * what it does: SIGUSR2 and `k3s-lite dump`. Secrets in command lines are `***`, as in all events.
 */
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { redactEvent } from '../event/envelope-json.ts';
import type { Executor } from '../executor/executor-api.ts';
import { makeFolderWithParents } from '../kernel/make-folders.ts';
import { version } from './version.ts';

/** Dumps that are kept; older ones are removed. */
const keptDumps = 10;
/** Events at the end of the ring that a dump has. */
const dumpedEvents = 1000;
const dumpName = /^k3s-lite-state-[\dTZ.-]+\.json$/;

export interface DumpOptions {
  readonly executor: Pick<Executor, 'graph' | 'events' | 'snapshots' | 'isReady' | 'inspect'>;
  readonly logDir: string;
  readonly now: { readonly wallMs: number; readonly monotonicMs: number };
}

/** Writes `<logDir>/k3s-lite-state-<time>.json` (0600), tells where in a notice, and returns its path. */
export function dumpState({ executor, logDir, now }: DumpOptions): string {
  const { graph, events } = executor;
  const inner = executor.inspect();
  const inspected = new Map(inner.units.map((unit) => [unit.unit, unit]));
  const state = {
    version,
    pid: process.pid,
    node: process.version,
    now,
    ready: executor.isReady(),
    memory: process.memoryUsage(),
    resources: countOf(process.getActiveResourcesInfo()),
    queues: { start: inner.startQueue, events: events.lastSeq },
    units: executor.snapshots().map((snapshot) => {
      const { unit } = snapshot;
      const definition = graph.has(unit) ? { hash: graph.unit(unit).hash, needs: graph.needs(unit) } : {};
      return { ...definition, snapshot, ...inspected.get(unit) };
    }),
    events: events
      .history(events.lastSeq - dumpedEvents + 1)
      .map((envelope) => ({ ...envelope, event: redactEvent(envelope.event) })),
  };
  makeFolderWithParents(logDir);
  const name = `k3s-lite-state-${new Date(now.wallMs).toISOString().replaceAll(':', '-')}.json`;
  const file = path.join(logDir, name);
  writeFileSync(file, `${JSON.stringify(state, undefined, 1)}\n`, { mode: 0o600 });
  const dumps = readdirSync(logDir).filter((each) => dumpName.test(each));
  for (const old of dumps.sort().slice(0, -keptDumps)) rmSync(path.join(logDir, old), { force: true });
  events.emit({ type: 'notice', level: 'info', text: `the state is in ${file}` });
  return file;
}

function countOf(names: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
