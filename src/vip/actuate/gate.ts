/**
 * Keeps the kernel's gate as it is wanted. Each write says everything, and there is one at a time:
 * wishes that come while one is on its way share the next.
 *
 * Where the kernel can be asked itself, nft makes tables, chains and rules, and whenever an interface came or went or
 * the kernel refused; sets are filled without it.
 */
import type { Clock } from '../../kernel/clock.ts';
import { armBatch, gateBatch } from './gate-messages.ts';
import type { GateNetlink } from './gate-netlink.ts';
import { armRules, gateRules, noGate, type GateAbilities, type GateState } from './gate-rules.ts';
import type { KernelNetwork } from './kernel-network.ts';

/**
 * The kernel counts from when it reads the rule, so that what the last write took is taken off, up to this. When
 * it took longer by more than this, the switch is armed again, shorter by all that it took.
 */
const armedLateMs = 50;
const armingTries = 3;

export type WantedGate = Omit<GateState, 'remainingMs' | 'wallMs'> & {
  /** Of the monotonic clock. */
  readonly deadlineMs: number;
};

export interface GateOptions {
  readonly kernel: KernelNetwork;
  /** Undefined where there is no FFI: nft does everything. */
  readonly netlink?: GateNetlink | undefined;
  readonly clock: Clock;
  /** Asked when a write begins. */
  readonly wanted: () => WantedGate;
}

export interface Gate {
  /** In place of an earlier process's: finds out what this kernel can do. */
  begin(): Promise<void>;
  /** Resolves when the kernel has everything that was wanted when this was called. */
  write(): Promise<void>;
  /** As `write`, and what somebody has taken away of tables, chains and rules is back. */
  mend(): Promise<void>;
  /** Only the dead man's switch, which costs the same for any number of addresses. */
  arm(): Promise<void>;
  /** Takes it away. */
  end(): Promise<void>;
}

/** Each has in it what stands before it. */
const parts = ['switch', 'sets', 'whole'] as const;
type Part = (typeof parts)[number];

export function createGate({ kernel, netlink, clock, wanted }: GateOptions): Gate {
  let abilities: GateAbilities = { hasEgress: true };
  /** The interfaces for which nft has made chains; undefined: what there is of the gate is not known. */
  let chainsFor: string | undefined;
  /** The write that nobody has begun yet. */
  let next: { part: Part; readonly done: Promise<void> } | undefined;
  let last: Promise<void> = Promise.resolve();

  /** Each of its own: nft takes a hundred times as long. */
  const lastTookMs = { nft: 0, netlink: 0 };

  /** What writes it without nft: whatever needs no other chains than there are. */
  const netlinkFor = (part: Part, state: Pick<GateState, 'interfaces'>): GateNetlink | undefined =>
    part !== 'whole' && chainsFor === chainsOf(state) ? netlink : undefined;
  /** Without netlink nft writes sets with all the rest. */
  const isWhole = (part: Part): boolean => part === 'whole' || (part === 'sets' && netlink === undefined);

  /** @param mostMs - of the time that the write may take, which is taken off: what a first one takes is a guess */
  const stateNow = (part: Part, mostMs = armedLateMs): GateState => {
    const { deadlineMs, ...rest } = wanted();
    const beginsMs = Math.min(lastTookMs[netlinkFor(part, rest) === undefined ? 'nft' : 'netlink'], mostMs);
    return { ...rest, remainingMs: deadlineMs - clock.monotonicMs() - beginsMs, wallMs: clock.wallMs() + beginsMs };
  };
  async function timed(way: keyof typeof lastTookMs, change: () => void | Promise<void>): Promise<void> {
    const begunMs = clock.monotonicMs();
    await change();
    lastTookMs[way] = clock.monotonicMs() - begunMs;
  }
  async function changeAll(state: GateState, isFirst = false): Promise<void> {
    chainsFor = undefined;
    await timed('nft', () => kernel.changeGate(gateRules(abilities, state, isFirst)));
    chainsFor = chainsOf(state);
  }
  async function change(part: Part, state: GateState): Promise<void> {
    const itself = netlinkFor(part, state);
    if (itself !== undefined) {
      const batch = part === 'sets' ? gateBatch(abilities, state) : armBatch(abilities, state);
      return timed('netlink', () => itself.change(batch));
    }
    if (netlink !== undefined || isWhole(part)) return changeAll(state);
    return timed('nft', () => kernel.changeGate(armRules(abilities, state)));
  }
  function ask(part: Part): Promise<void> {
    if (next !== undefined) {
      if (parts.indexOf(part) > parts.indexOf(next.part)) next.part = part;
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
    let state = stateNow(part);
    await change(part, state).catch(async (error: unknown) => {
      if (isWhole(part)) throw error;
      // Somebody has flushed it.
      state = stateNow('whole');
      await changeAll(state);
    });
    if (!isArmedTooLong(state)) return;
    for (let tries = 1; tries < armingTries; tries += 1) {
      state = stateNow('switch', Infinity);
      if (state.remainingMs <= 0) break;
      await change('switch', state);
      if (!isArmedTooLong(state)) return;
    }
    // The machine is so slow that no time can be trusted, or the Lease has been given up meanwhile.
    const isOver = wanted().deadlineMs <= clock.monotonicMs();
    await change('switch', { ...state, remainingMs: 0 });
    if (isOver) return;
    throw new Error('the dead man’s switch cannot be armed in time: this machine is too slow');
  }
  const isArmedTooLong = ({ remainingMs }: GateState): boolean =>
    remainingMs > 0 && clock.monotonicMs() + remainingMs > wanted().deadlineMs + armedLateMs;

  return {
    async begin() {
      try {
        await changeAll(stateNow('whole'), true);
      } catch {
        // Most likely the one thing that is younger than the rest; another reason is told by the next.
        abilities = { hasEgress: false };
        await changeAll(stateNow('whole'), true);
      }
    },
    write: () => ask('sets'),
    mend: () => ask('whole'),
    arm: () => ask('switch'),
    async end() {
      chainsFor = undefined;
      netlink?.close();
      await kernel.changeGate(noGate(abilities));
    },
  };
}

const chainsOf = ({ interfaces }: Pick<GateState, 'interfaces'>): string =>
  interfaces
    .map(({ name, index }) => `${String(index)} ${name}`)
    .sort()
    .join('/');
