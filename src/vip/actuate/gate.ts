/**
 * Keeps the kernel's gate as it is wanted. Each write says everything, and there is one at a time:
 * wishes that come while one is on its way share the next.
 */
import type { Clock } from '../../kernel/clock.ts';
import { armRules, gateRules, noGate, type GateAbilities, type GateState } from './gate-rules.ts';
import type { KernelNetwork } from './kernel-network.ts';

/**
 * The kernel counts from when it reads the rule, so that what the last write took is taken off. When it
 * took longer by more than this, the switch is armed again, shorter.
 */
const armedLateMs = 50;
const armingTries = 3;

export type WantedGate = Omit<GateState, 'remainingMs' | 'wallMs'> & {
  /** Of the monotonic clock. */
  readonly deadlineMs: number;
};

export interface GateOptions {
  readonly kernel: KernelNetwork;
  readonly clock: Clock;
  /** Asked when a write begins. */
  readonly wanted: () => WantedGate;
}

export interface Gate {
  /** In place of an earlier process's: finds out what this kernel can do. */
  begin(): Promise<void>;
  /** Resolves when the kernel has everything that was wanted when this was called. */
  write(): Promise<void>;
  /** Only the dead man's switch, which costs the same for any number of addresses. */
  arm(): Promise<void>;
  /** Takes it away. */
  end(): Promise<void>;
}

type Part = 'whole' | 'switch';

export function createGate({ kernel, clock, wanted }: GateOptions): Gate {
  let abilities: GateAbilities = { hasEgress: true };
  /** The write that nobody has begun yet. */
  let next: { part: Part; readonly done: Promise<void> } | undefined;
  let last: Promise<void> = Promise.resolve();

  let lastTookMs = 0;

  const stateNow = (): GateState => {
    const { deadlineMs, ...rest } = wanted();
    const beginsMs = Math.min(lastTookMs, armedLateMs);
    return { ...rest, remainingMs: deadlineMs - clock.monotonicMs() - beginsMs, wallMs: clock.wallMs() + beginsMs };
  };
  async function change(script: string): Promise<void> {
    const begunMs = clock.monotonicMs();
    await kernel.changeGate(script);
    lastTookMs = clock.monotonicMs() - begunMs;
  }
  function ask(part: Part): Promise<void> {
    if (next !== undefined) {
      if (part === 'whole') next.part = part;
      return next.done;
    }
    const mine: { part: Part; done: Promise<void> } = { part, done: Promise.resolve() };
    mine.done = last
      .catch(() => undefined) // told to whoever asked for it
      .then(() => {
        next = undefined;
        return perform(mine.part);
      });
    next = mine;
    last = mine.done;
    return mine.done;
  }
  async function perform(part: Part): Promise<void> {
    let state = stateNow();
    if (part === 'whole') await change(gateRules(abilities, state));
    // Somebody has flushed it.
    else await change(armRules(abilities, state)).catch(() => change(gateRules(abilities, state)));
    for (let tries = 1; isArmedTooLong(state) && tries < armingTries; tries += 1) {
      state = stateNow();
      await change(armRules(abilities, state));
    }
    if (!isArmedTooLong(state)) return;
    // The machine is so slow that no time can be trusted.
    await change(armRules(abilities, { ...state, remainingMs: 0 }));
    throw new Error('the dead man’s switch cannot be armed in time: this machine is too slow');
  }
  const isArmedTooLong = ({ remainingMs }: GateState): boolean =>
    remainingMs > 0 && clock.monotonicMs() + remainingMs > wanted().deadlineMs + armedLateMs;

  return {
    async begin() {
      try {
        await kernel.changeGate(gateRules(abilities, stateNow(), true));
      } catch {
        // Most likely the one thing that is younger than the rest; another reason is told by the next.
        abilities = { hasEgress: false };
        await kernel.changeGate(gateRules(abilities, stateNow(), true));
      }
    },
    write: () => ask('whole'),
    arm: () => ask('switch'),
    end: () => kernel.changeGate(noGate(abilities)),
  };
}
