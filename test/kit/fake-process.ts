/**
 * A process layer without processes: every generation of every unit follows a script.
 *
 * It keeps the contract of the real one (`ProcessPort`): a spawn error is thrown, `exited` settles
 * once, `stop` climbs from the unit's signal to SIGKILL and returns what survived. What it did is
 * told as facts, so that a test need not believe what the executor says of it.
 *
 * The supervisor can be killed: what it had in hand stands still, its processes go on.
 */
import type { Exit } from '../../src/error/readiness-error.ts';
import type { Builtin } from '../../src/unit/builtin.ts';
import { abortError, onAbort } from '../../src/kernel/abort.ts';
import { sleep, type Clock } from '../../src/kernel/clock.ts';
import type { Leftover } from '../../src/process/leftover.ts';
import type { ProcessPort } from '../../src/process/process-port.ts';
import type { RunRecord } from '../../src/process/run-record.ts';
import { FakeRun, never, type Script } from './fake-run.ts';
import type { Fact } from './journal.ts';

export interface FakeProcesses extends ProcessPort {
  /** Runs for a builtin unit (`kind: builtin`) as its script says. */
  readonly builtin: Builtin;
  /** The unit has a process that is alive, its main one if `main`. */
  isAlive(unit: string, options?: { readonly main: boolean }): boolean;
  /** What a check of the unit would find, asked of the process `pid`. */
  isAnswering(pid: number): boolean;
  /** Calls `changed` whenever {@link isAnswering} of the unit's newest process may have changed. */
  onAnswer(unit: string, changed: () => void): Disposable;
  /** Units that have something alive: empty when nothing is left. */
  alive(): readonly string[];
  /** Followers of logs that were not disposed. */
  readonly followers: number;
  /** SIGKILL to the supervisor: nothing is told to it any more, and nothing that it asks for happens. */
  killSupervisor(): void;
  /** What is left of all runs, as the real layer finds it. */
  leftovers(): readonly Leftover[];
  /** Ends a leftover; false while not even SIGKILL ends it. */
  end(leftover: Leftover): boolean;
  /** Makes the newest process of `unit` exit now, whatever its script says. */
  exit(unit: string, exit?: Exit): void;
  /** Makes the newest process of `unit` ready, or not ready, whatever its script says. */
  answer(unit: string, isAnswering: boolean): void;
}

export interface FakeProcessOptions {
  readonly clock: Clock;
  /** The script of a generation; read when it is launched. */
  readonly script?: (unit: string, generation: number, hash: string) => Script;
  /** How long an `undo` takes, and whether it succeeds (default: 0 ms, yes). */
  readonly undo?: (unit: string) => { readonly takesMs: number; readonly fails: boolean };
  readonly note?: (fact: Fact) => void;
}

export function fakeProcesses({
  clock,
  script = () => ({}),
  undo,
  note = () => undefined,
}: FakeProcessOptions): FakeProcesses {
  const newest = new Map<string, FakeRun>();
  const byPid = new Map<number, FakeRun>();
  const living = new Set<FakeRun>();
  const builtins = new Set<string>();
  const listeners = new Map<string, Set<() => void>>();
  const logs = new Map<string, string[]>();
  const followersOf = new Map<string, Set<(line: string) => void>>();
  let nextPid = 1000;
  let supervisor = { isDead: false };
  /** Programs and functions that the supervisor waits for, by what ends them. */
  const helpers = new Set<() => void>();

  const tell = (unit: string) => {
    for (const changed of [...(listeners.get(unit) ?? [])]) changed();
  };
  const append = (unit: string, line: string) => {
    const lines = logs.get(unit) ?? [];
    lines.push(line);
    logs.set(unit, lines);
    for (const listener of [...(followersOf.get(unit) ?? [])]) listener(line);
  };
  const processOf = (unit: string): FakeRun => {
    const process = newest.get(unit);
    if (process === undefined) throw new Error(`"${unit}" was never launched`);
    return process;
  };

  return {
    launch({ unit, generation, extraEnv }) {
      const plan = script(unit.name, generation, unit.hash);
      if (plan.spawnError !== undefined) {
        note({ kind: 'refused', unit: unit.name, generation });
        throw Object.assign(new Error(`spawn ${unit.run[0] ?? ''} ${plan.spawnError}`), { code: plan.spawnError });
      }
      note({ kind: 'launched', unit: unit.name, generation });
      logs.set(unit.name, []);
      const notifySocket = extraEnv['NOTIFY_SOCKET'];
      const process = new FakeRun({ clock, unit, generation, plan, pid: nextPid, notifySocket, note, tell });
      nextPid += 1;
      newest.set(unit.name, process);
      byPid.set(process.pid, process);
      living.add(process);
      void process.gone.then(() => living.delete(process));
      for (const line of plan.output ?? []) append(unit.name, line);
      return process.handle(supervisor, false);
    },
    adopt({ unit, record }) {
      const process = byPid.get(record.pid);
      if (process === undefined) throw new Error(`"${unit.name}" was never launched`);
      note({ kind: 'adopted', unit: unit.name, generation: record.generation });
      return process.handle(supervisor, true);
    },
    async runToEnd({ unit, signal }) {
      const { takesMs, fails } = undo?.(unit.name) ?? { takesMs: 0, fails: false };
      const owner = supervisor;
      const end = () => {
        if (helpers.delete(end)) note({ kind: 'undone', unit: unit.name });
      };
      note({ kind: 'undoing', unit: unit.name });
      helpers.add(end);
      try {
        await sleep(clock, takesMs, signal);
      } finally {
        end();
      }
      if (owner.isDead) return never;
      return { exit: { kind: 'code', code: fails ? 1 : 0 }, output: '' };
    },
    async builtin({ unit, generation, signal }) {
      const plan = script(unit.name, generation, unit.hash);
      note({ kind: 'launched', unit: unit.name, generation });
      builtins.add(unit.name);
      const owner = supervisor;
      const end = () => {
        if (!helpers.delete(end)) return;
        builtins.delete(unit.name);
        note({ kind: 'gone', unit: unit.name, generation });
      };
      helpers.add(end);
      try {
        const { readyAfterMs = 0, exitAfterMs } = plan;
        const endsAfterMs = exitAfterMs ?? readyAfterMs;
        if (endsAfterMs === null) await until(signal);
        else await sleep(clock, endsAfterMs, signal);
        if (owner.isDead) return await never;
        if (plan.spawnError !== undefined || exitAfterMs !== undefined) throw new Error(`${unit.name} does not work`);
        note({ kind: 'finished', unit: unit.name, generation });
      } finally {
        end();
      }
    },
    log: (unit) => ({
      follow(listener) {
        const own = followersOf.get(unit) ?? new Set();
        own.add(listener);
        followersOf.set(unit, own);
        return { [Symbol.dispose]: () => void own.delete(listener) };
      },
      last: (count) => (logs.get(unit) ?? []).slice(-count),
    }),
    append,
    isAlive: (unit, { main } = { main: false }) => {
      const process = newest.get(unit);
      if (process === undefined) return builtins.has(unit);
      return main ? process.isRunning : [...living].some((one) => one.unit === unit);
    },
    isAnswering: (pid) => byPid.get(pid)?.isAnswering ?? false,
    onAnswer(unit, changed) {
      const own = listeners.get(unit) ?? new Set();
      own.add(changed);
      listeners.set(unit, own);
      return { [Symbol.dispose]: () => void own.delete(changed) };
    },
    alive: () => [...new Set([...[...living].map(({ unit }) => unit), ...builtins])],
    get followers() {
      return [...followersOf.values(), ...listeners.values()].reduce((sum, own) => sum + own.size, 0);
    },
    killSupervisor() {
      supervisor.isDead = true;
      supervisor = { isDead: false };
      for (const end of [...helpers]) end();
      followersOf.clear();
      listeners.clear();
    },
    leftovers: () =>
      [...byPid.values()]
        .filter((process) => process.isRecorded && (process.isFinished || living.has(process)))
        .map((process): Leftover => {
          const { pid, unit, generation, isRunning } = process;
          const target = { pid, startTicks: pid, scope: 'cgroup', run: `fake/${unit}/${String(pid)}` } as const;
          const pids = living.has(process) ? [pid] : [];
          return { unit, generation, pids, record: recordOf(process), isMainAlive: isRunning, target };
        }),
    end: ({ target }) => byPid.get(target.pid)?.end() ?? true,
    exit: (unit, exit = { kind: 'code', code: 1 }) => processOf(unit).exit(exit),
    answer: (unit, isAnswering) => processOf(unit).answer(isAnswering),
  };
}

function recordOf({ pid, unit, generation, hash, notifySocket, isKnownReady, isFinished }: FakeRun): RunRecord {
  return {
    version: 1,
    unit,
    generation,
    hash,
    pid,
    startTicks: pid,
    bootId: 'fake',
    run: `fake/${unit}/${String(pid)}`,
    program: 'program',
    scope: 'cgroup',
    stopSignal: 'SIGTERM',
    stopWithinMs: 0,
    startedWallMs: 0,
    ready: isKnownReady,
    finished: isFinished,
    ...(notifySocket === undefined ? {} : { notifySocket }),
  };
}

function until(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    onAbort(signal, () => {
      reject(abortError(signal));
    });
  });
}
