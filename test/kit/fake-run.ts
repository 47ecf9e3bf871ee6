/** One generation of a unit in the fake process layer: a process that follows its script. */
import type { Exit } from '../../src/error/readiness-error.ts';
import { onAbort } from '../../src/kernel/abort.ts';
import { sleep, type Clock } from '../../src/kernel/clock.ts';
import { deferred } from '../../src/kernel/deferred.ts';
import type { RunningProcess } from '../../src/process/process-port.ts';
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

/** Whoever supervises a process: a k3s-lite that can be killed. */
export interface Supervisor {
  readonly isDead: boolean;
}

/** What a dead supervisor waits for. */
export const never = new Promise<never>(() => undefined);

const killed: Exit = { kind: 'signal', signal: 'SIGKILL' };
/** A killed process is not gone at once. */
const killTakesMs = 1;

export interface FakeRunParts {
  readonly clock: Clock;
  readonly unit: Unit;
  readonly generation: number;
  readonly plan: Script;
  readonly pid: number;
  readonly notifySocket: string | undefined;
  note(fact: Fact): void;
  tell(unit: string): void;
}

/** One generation: its process, whoever supervises it. */
export class FakeRun {
  readonly pid: number;
  readonly unit: string;
  readonly generation: number;
  readonly hash: string;
  readonly notifySocket: string | undefined;
  /** Main process and children are gone. */
  readonly gone: Promise<void>;
  isRunning = true;
  /** Its run record is there: it was launched, and no stop has found it gone. */
  isRecorded = true;
  /** What its record says. */
  isKnownReady = false;
  isFinished = false;
  readonly #toTell = new Set<(exit: Exit) => void>();
  #toldExit: Exit | undefined;
  readonly #parts: FakeRunParts;
  readonly #ended = deferred();
  readonly #gone = deferred();
  readonly #timers: Disposable[] = [];
  readonly #launchedMs: number;
  #hasChild: boolean;
  #isGone = false;
  #isAnswering = false;
  #hasAnswered = false;

  constructor(parts: FakeRunParts) {
    this.#parts = parts;
    this.pid = parts.pid;
    this.unit = parts.unit.name;
    this.generation = parts.generation;
    this.hash = parts.unit.hash;
    this.notifySocket = parts.notifySocket;
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
      this.#toldExit = exit;
      for (const tell of this.#toTell) tell(exit);
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

  /** The process as `supervisor` has it: one that is dead is told nothing and does nothing. */
  handle(supervisor: Supervisor, isAdopted: boolean): RunningProcess {
    const exited = deferred<Exit>();
    const { note, generation, unit } = this.#parts;
    const tell = (exit: Exit) => {
      if (supervisor.isDead) return;
      note({ kind: 'exited', unit: this.unit, generation, exit });
      if (unit.kind === 'task' && exit.kind === 'code' && exit.code === 0) this.isFinished = true;
      exited.resolve(isAdopted ? { kind: 'unknown' } : exit);
    };
    if (this.#toldExit === undefined) this.#toTell.add(tell);
    else exited.resolve({ kind: 'unknown' });
    return {
      pid: this.pid,
      exited: exited.promise,
      becameReady: () => {
        if (!supervisor.isDead) this.isKnownReady = true;
      },
      suspect: () => undefined,
      stop: (options) => this.#stop(supervisor, options),
    };
  }

  /** An end by somebody who is not its supervisor; false when not even SIGKILL ends it. */
  end(): boolean {
    this.#signal('SIGKILL', undefined);
    if (!this.#dies()) return false;
    this.isRecorded = false;
    return true;
  }

  #dies(): boolean {
    const { clock, plan } = this.#parts;
    if (clock.monotonicMs() - this.#launchedMs < (plan.survivesUntilMs ?? 0)) return false;
    this.#hasChild = false;
    this.exit(killed);
    this.#lookIfGone();
    return true;
  }

  async #stop(
    supervisor: Supervisor,
    { hurry, onStep }: Parameters<RunningProcess['stop']>[0],
  ): Promise<readonly number[]> {
    const { clock, plan, unit } = this.#parts;
    const isDead = () => supervisor.isDead;
    if (isDead()) return never;
    if (this.isRunning && hurry?.aborted !== true) {
      this.#signal(unit.stop.signal, onStep);
      const dies = plan.ignoresStop !== true && plan.survivesUntilMs === undefined;
      if (dies) this.#after(plan.stopTakesMs ?? 0, () => this.exit({ kind: 'signal', signal: unit.stop.signal }));
      await this.#exitWithin(unit.stop.within, hurry);
    }
    if (isDead()) return never;
    if (!this.isGone()) {
      this.#signal('SIGKILL', onStep);
      await sleep(clock, killTakesMs);
      // It dies of that whoever lives.
      const hasDied = this.#dies();
      if (isDead()) return never;
      if (!hasDied) return [this.pid];
    }
    this.isRecorded = false;
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
