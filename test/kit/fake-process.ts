/**
 * A process layer without processes: every generation of every unit follows a script.
 *
 * It keeps the contract of the real one (`ProcessPort`): a spawn error is thrown, `exited` settles
 * once, `stop` climbs from the unit's signal to SIGKILL and returns what survived. What it did is
 * told as facts, so that a test need not believe what the executor says of it.
 */
import type { Exit } from '../../src/error/readiness-error.ts';
import type { Builtin } from '../../src/unit/builtin.ts';
import { abortError, onAbort } from '../../src/kernel/abort.ts';
import { sleep, type Clock } from '../../src/kernel/clock.ts';
import { deferred } from '../../src/kernel/deferred.ts';
import type { ProcessPort, RunningProcess } from '../../src/process/process-port.ts';
import type { Unit } from '../../src/unit/schema.ts';
import type { Fact } from './journal.ts';

/** How one generation behaves. Times are milliseconds since its launch. An empty script runs for ever and is ready at once. */
export interface Script {
  /** It cannot be spawned: the errno name. */
  readonly spawnError?: string;
  /** When its readiness check begins to pass (default 0); null: never. */
  readonly readyAfterMs?: number | null;
  /** When its main process exits by itself. A task or builtin without it exits with 0 when it would be ready. */
  readonly exitAfterMs?: number;
  /** Default: code 1. */
  readonly exit?: Exit;
  /** From when to when its checks fail again after it was ready. */
  readonly sick?: { readonly fromMs: number; readonly toMs: number };
  /** How long it takes to end after the stop signal (default 0). */
  readonly stopTakesMs?: number;
  /** Only SIGKILL ends it. */
  readonly ignoresStop?: boolean;
  /** A child of it outlives the main process until `stop`. */
  readonly leavesChild?: boolean;
  /** It is not even ended by SIGKILL until so many ms after its launch (uninterruptible sleep). */
  readonly survivesUntilMs?: number;
  /** Its exit becomes known so many ms later than it happens: also after `stop` has found nothing alive. */
  readonly exitToldLateMs?: number;
  /** Lines it writes as it starts. */
  readonly output?: readonly string[];
}

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

const killed: Exit = { kind: 'signal', signal: 'SIGKILL' };
/** A killed process is not gone at once. */
const killTakesMs = 1;

export function fakeProcesses({
  clock,
  script = () => ({}),
  undo,
  note = () => undefined,
}: FakeProcessOptions): FakeProcesses {
  const newest = new Map<string, FakeProcess>();
  const byPid = new Map<number, FakeProcess>();
  const living = new Set<FakeProcess>();
  const builtins = new Set<string>();
  const listeners = new Map<string, Set<() => void>>();
  const logs = new Map<string, string[]>();
  const followersOf = new Map<string, Set<(line: string) => void>>();
  let nextPid = 1000;

  const tell = (unit: string) => {
    for (const changed of [...(listeners.get(unit) ?? [])]) changed();
  };
  const append = (unit: string, line: string) => {
    const lines = logs.get(unit) ?? [];
    lines.push(line);
    logs.set(unit, lines);
    for (const listener of [...(followersOf.get(unit) ?? [])]) listener(line);
  };
  const processOf = (unit: string): FakeProcess => {
    const process = newest.get(unit);
    if (process === undefined) throw new Error(`"${unit}" was never launched`);
    return process;
  };

  return {
    launch({ unit, generation }) {
      const plan = script(unit.name, generation, unit.hash);
      if (plan.spawnError !== undefined) {
        note({ kind: 'refused', unit: unit.name, generation });
        throw Object.assign(new Error(`spawn ${unit.run[0] ?? ''} ${plan.spawnError}`), { code: plan.spawnError });
      }
      note({ kind: 'launched', unit: unit.name, generation });
      logs.set(unit.name, []);
      const process = new FakeProcess({ clock, unit, generation, plan, pid: nextPid, note, tell });
      nextPid += 1;
      newest.set(unit.name, process);
      byPid.set(process.pid, process);
      living.add(process);
      void process.gone.then(() => living.delete(process));
      for (const line of plan.output ?? []) append(unit.name, line);
      return process;
    },
    async runToEnd({ unit, signal }) {
      const { takesMs, fails } = undo?.(unit.name) ?? { takesMs: 0, fails: false };
      note({ kind: 'undoing', unit: unit.name });
      try {
        await sleep(clock, takesMs, signal);
      } finally {
        note({ kind: 'undone', unit: unit.name });
      }
      return { exit: { kind: 'code', code: fails ? 1 : 0 }, output: '' };
    },
    async builtin({ unit, generation, signal }) {
      const plan = script(unit.name, generation, unit.hash);
      note({ kind: 'launched', unit: unit.name, generation });
      builtins.add(unit.name);
      try {
        const { readyAfterMs = 0, exitAfterMs } = plan;
        const endsAfterMs = exitAfterMs ?? readyAfterMs;
        if (endsAfterMs === null) await until(signal);
        else await sleep(clock, endsAfterMs, signal);
        if (plan.spawnError !== undefined || exitAfterMs !== undefined) throw new Error(`${unit.name} does not work`);
        note({ kind: 'finished', unit: unit.name, generation });
      } finally {
        builtins.delete(unit.name);
        note({ kind: 'gone', unit: unit.name, generation });
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
    exit: (unit, exit = { kind: 'code', code: 1 }) => processOf(unit).exit(exit),
    answer: (unit, isAnswering) => processOf(unit).answer(isAnswering),
  };
}

function until(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    onAbort(signal, () => {
      reject(abortError(signal));
    });
  });
}

interface FakeProcessParts {
  readonly clock: Clock;
  readonly unit: Unit;
  readonly generation: number;
  readonly plan: Script;
  readonly pid: number;
  note(fact: Fact): void;
  tell(unit: string): void;
}

class FakeProcess implements RunningProcess {
  readonly pid: number;
  readonly unit: string;
  readonly exited: Promise<Exit>;
  /** Main process and children are gone. */
  readonly gone: Promise<void>;
  isRunning = true;
  readonly #parts: FakeProcessParts;
  readonly #exited = deferred<Exit>();
  readonly #ended = deferred();
  readonly #gone = deferred();
  readonly #timers: Disposable[] = [];
  readonly #launchedMs: number;
  #hasChild: boolean;
  #isGone = false;
  #isAnswering = false;
  #hasAnswered = false;

  constructor(parts: FakeProcessParts) {
    this.#parts = parts;
    this.pid = parts.pid;
    this.unit = parts.unit.name;
    this.exited = this.#exited.promise;
    this.gone = this.#gone.promise;
    this.#launchedMs = parts.clock.monotonicMs();
    const { plan } = parts;
    this.#hasChild = plan.leavesChild === true;
    this.#play();
  }

  get isAnswering(): boolean {
    return this.isRunning && this.#isAnswering;
  }

  isGone(): boolean {
    return this.#isGone;
  }

  #play(): void {
    const { plan, unit } = this.#parts;
    const { readyAfterMs = 0, exitAfterMs, sick } = plan;
    if (unit.kind === 'task') {
      const endsAfterMs = exitAfterMs ?? readyAfterMs;
      const exit = exitAfterMs === undefined ? ({ kind: 'code', code: 0 } as const) : plan.exit;
      if (endsAfterMs !== null) this.#after(endsAfterMs, () => this.exit(exit));
      return;
    }
    if (readyAfterMs === 0) this.answer(true);
    else if (readyAfterMs !== null) this.#after(readyAfterMs, () => this.answer(true));
    if (exitAfterMs !== undefined) this.#after(exitAfterMs, () => this.exit(plan.exit));
    if (sick !== undefined) {
      this.#after(sick.fromMs, () => this.answer(false));
      this.#after(sick.toMs, () => this.answer(true));
    }
  }

  #after(delayMs: number, run: () => void): void {
    this.#timers.push(this.#parts.clock.timer(delayMs, run));
  }

  answer(isAnswering: boolean): void {
    this.#isAnswering = isAnswering;
    if (this.isAnswering && !this.#hasAnswered) {
      this.#hasAnswered = true;
      this.#parts.note({ kind: 'answered', unit: this.unit, generation: this.#parts.generation });
    }
    this.#parts.tell(this.unit);
  }

  exit(exit: Exit = { kind: 'code', code: 1 }): void {
    if (!this.isRunning) return;
    const { generation, note } = this.#parts;
    this.isRunning = false;
    for (const timer of this.#timers.splice(0)) timer[Symbol.dispose]();
    if (exit.kind === 'code' && exit.code === 0) note({ kind: 'finished', unit: this.unit, generation });
    const { exitToldLateMs } = this.#parts.plan;
    const tellExit = () => {
      note({ kind: 'exited', unit: this.unit, generation, exit });
      this.#exited.resolve(exit);
    };
    if (exitToldLateMs === undefined) tellExit();
    else this.#parts.clock.timer(exitToldLateMs, tellExit);
    this.#ended.resolve();
    this.#lookIfGone();
  }

  #lookIfGone(): void {
    if (this.#isGone || this.isRunning || this.#hasChild) return;
    this.#isGone = true;
    this.#parts.note({ kind: 'gone', unit: this.unit, generation: this.#parts.generation });
    this.#gone.resolve();
  }

  async stop({ hurry, onStep }: Parameters<RunningProcess['stop']>[0]): Promise<readonly number[]> {
    const { clock, plan, unit } = this.#parts;
    if (this.isGone()) return [];
    if (this.isRunning && hurry?.aborted !== true) {
      this.#signal(unit.stop.signal, onStep);
      const dies = plan.ignoresStop !== true && plan.survivesUntilMs === undefined;
      if (dies) this.#after(plan.stopTakesMs ?? 0, () => this.exit({ kind: 'signal', signal: unit.stop.signal }));
      await this.#exitWithin(unit.stop.within, hurry);
    }
    if (this.isGone()) return [];
    this.#signal('SIGKILL', onStep);
    await sleep(clock, killTakesMs);
    const livesOn = clock.monotonicMs() - this.#launchedMs < (plan.survivesUntilMs ?? 0);
    if (livesOn) return [this.pid];
    this.#hasChild = false;
    this.exit(killed);
    this.#lookIfGone();
    return [];
  }

  #signal(signal: string, onStep: Parameters<RunningProcess['stop']>[0]['onStep']): void {
    this.#parts.note({ kind: 'signalled', unit: this.unit, generation: this.#parts.generation, signal });
    onStep?.(signal, [this.pid]);
  }

  /** Ends when the main process has, after `withinMs`, or when `hurry` aborts. */
  #exitWithin(withinMs: number, hurry: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        timer[Symbol.dispose]();
        abort?.[Symbol.dispose]();
        resolve();
      };
      const timer = this.#parts.clock.timer(withinMs, end);
      const abort = hurry && onAbort(hurry, end);
      void this.#ended.promise.then(end);
    });
  }
}
