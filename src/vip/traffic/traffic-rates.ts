/**
 * From what has been counted to how much there is a second: smoothed, so that a minute's burst moves nothing. Pure.
 *
 * What is new has no history: its average begins with what is there, and is told when it is old enough to mean something.
 */
import type { VipAddress } from '../model.ts';
import { levelOf } from '../plan/traffic-weight.ts';

/** Source: issue 6's reference. */
const halfLifeMs = 60_000;
/** So long it has to be measured before it is told. */
const warmUpMs = 30_000;

interface Measured {
  readonly bytes: number;
  readonly sinceMs: number;
  /** Of the rates, each by how much of the average it is; and of these shares. */
  readonly sum: number;
  readonly share: number;
  /** As it was told. */
  readonly level: number | undefined;
}

export interface TrafficRates {
  readonly atMs: number;
  readonly of: ReadonlyMap<VipAddress, Measured>;
}

export const noRates: TrafficRates = { atMs: 0, of: new Map() };

/** @param bytes - of each since it has been counted; one that is not among them is forgotten */
export function measure(before: TrafficRates, bytes: ReadonlyMap<VipAddress, number>, nowMs: number): TrafficRates {
  const elapsedMs = nowMs - before.atMs;
  const of = new Map<VipAddress, Measured>();
  for (const [address, now] of bytes) {
    const known = before.of.get(address);
    if (known === undefined || elapsedMs <= 0) {
      of.set(address, known ?? { bytes: now, sinceMs: nowMs, sum: 0, share: 0, level: undefined });
      continue;
    }
    // Somebody has set the counter back.
    const rate = ((now >= known.bytes ? now - known.bytes : now) * 1000) / elapsedMs;
    const kept = 0.5 ** (elapsedMs / halfLifeMs);
    const sum = known.sum * kept + rate * (1 - kept);
    const share = known.share * kept + (1 - kept);
    const isTold = nowMs - known.sinceMs >= warmUpMs;
    const level = isTold ? levelOf(sum / share, known.level) : undefined;
    of.set(address, { bytes: now, sinceMs: known.sinceMs, sum, share, level });
  }
  return { atMs: nowMs, of };
}

/** Of those that have been measured for long enough. */
export const levelsOf = ({ of }: TrafficRates): ReadonlyMap<VipAddress, number> =>
  new Map([...of].flatMap(([address, { level }]) => (level === undefined ? [] : [[address, level] as const])));
