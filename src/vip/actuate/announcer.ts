/**
 * When an address that we hold is announced: at once and soon after, since frames are lost and a
 * neighbour's entry may be locked for a second; then seldom, for those who have missed all of that.
 */
import type { Clock } from '../../kernel/clock.ts';
import type { VipAddress } from '../model.ts';

/** Milliseconds after the first. The fourth is beyond Linux's `locktime` of 1 s. */
const burstMs = [100, 500, 1200, 3000] as const;
const refreshMs = 60_000;
/** Of the refresh, either way: many addresses that are taken together are not said together for ever. */
const jitter = 0.1;

/** So many at once, and the next so much later: more than a receiver's queue holds would be lost. Source: Linux `netdev_max_backlog`, 1000. */
const together = 64;
const apartMs = 2;

/** The time between announcement `step` (from 0) and the next. @param random - from 0 to 1 */
export function announceAgainMs(step: number, random: number): number {
  const next = burstMs[step];
  if (next === undefined) return refreshMs * (1 + jitter * (2 * random - 1));
  return next - (burstMs[step - 1] ?? 0);
}

export interface AnnouncerOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** Sends it, if it may be said. */
  readonly announce: (address: VipAddress) => void;
}

export interface Announcer extends Disposable {
  /** Says them now (many of them within milliseconds), and then again and again. */
  start(addresses: readonly VipAddress[]): void;
  stop(addresses: readonly VipAddress[]): void;
}

export function createAnnouncer({ clock, random, announce }: AnnouncerOptions): Announcer {
  const due = new Map<VipAddress, { step: number; atMs: number }>();
  let timer: Disposable | undefined;
  function say(address: VipAddress, step: number): void {
    announce(address);
    due.set(address, { step: step + 1, atMs: clock.monotonicMs() + announceAgainMs(step, random()) });
  }
  function sayWhatIsDue(): void {
    const nowMs = clock.monotonicMs();
    for (const [address, { step, atMs }] of [...due]) if (atMs <= nowMs) say(address, step);
    wind();
  }
  /** One timer for all. */
  function wind(): void {
    timer?.[Symbol.dispose]();
    timer = undefined;
    if (due.size === 0) return;
    let firstMs = Infinity;
    for (const { atMs } of due.values()) firstMs = Math.min(firstMs, atMs);
    timer = clock.timer(Math.max(1, firstMs - clock.monotonicMs()), sayWhatIsDue);
  }
  return {
    start(addresses) {
      const nowMs = clock.monotonicMs();
      for (const [at, address] of addresses.entries()) {
        if (at < together) say(address, 0);
        else due.set(address, { step: 0, atMs: nowMs + apartMs * Math.floor(at / together) });
      }
      wind();
    },
    stop(addresses) {
      for (const address of addresses) due.delete(address);
      wind();
    },
    [Symbol.dispose]() {
      due.clear();
      wind();
    },
  };
}
