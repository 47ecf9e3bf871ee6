/**
 * Measured traffic as weights of addresses (`--vip-balance load`). Pure.
 *
 * A node tells the rate of an address as a level, in steps of √2: one that wavers stays on its level, so that
 * nothing is planned anew for it, and addresses share few weights, as the planner wants it.
 */
import type { VipAddress } from '../model.ts';
import type { PlanAddress, PlanPolicy } from './plan-model.ts';

/** Bytes a second, of level 1; what has less is idle: level 0. */
const leastRate = 1024;
const stepsPerDoubling = 2;
/** In steps: half of one would be the rounding alone. */
const keepWithin = 0.75;

/** @param bytesPerS - in both directions; @param before - on which it was */
export function levelOf(bytesPerS: number, before?: number): number {
  const exact = Math.max(0, 1 + stepsPerDoubling * Math.log2(bytesPerS / leastRate));
  return before !== undefined && Math.abs(exact - before) <= keepWithin ? before : Math.round(exact);
}

/** Bytes a second. */
export const rateOf = (level: number): number => (level <= 0 ? 0 : leastRate * 2 ** ((level - 1) / stepsPerDoubling));

/** What an address counts that has no traffic: one tenth of an average one, so that idle ones are shared evenly too. */
const idleShare = 0.1;
/** Bytes a second of an average address, below which no traffic is worth a move: as if there were that much. */
const quietRate = 10 * 1024;

/**
 * Each with its own weight times its traffic, as a ratio to the average; 1 is average, as for those that have not been
 * measured.
 *
 * @param levels - of those that have been
 */
export function weighByTraffic(
  addresses: readonly PlanAddress[],
  levels: ReadonlyMap<VipAddress, number>,
): readonly PlanAddress[] {
  const rates = addresses.flatMap(({ address }) => {
    const level = levels.get(address);
    return level === undefined ? [] : [rateOf(level)];
  });
  if (rates.length === 0) return addresses;
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const shareOf = (level: number | undefined) =>
    (level === undefined ? mean : rateOf(level)) / Math.max(mean, quietRate);
  return addresses.map((each) => ({
    ...each,
    weight: each.weight * (idleShare + (1 - idleShare) * shareOf(levels.get(each.address))),
  }));
}

/**
 * Traffic wavers as counts do not: it is evened out when a node is a quarter off its fair share, until it is a tenth,
 * and each address then rests for 5 minutes. Source: reference figures of issue 6 (1.2 and 1.1), and what a level rounds away.
 */
export const trafficPolicy = (policy: PlanPolicy): PlanPolicy => ({
  ...policy,
  startAbove: Math.max(policy.startAbove, 1.25),
  stopBelow: Math.max(policy.stopBelow, 1.1),
  restMs: Math.max(policy.restMs, 5 * 60_000),
});
