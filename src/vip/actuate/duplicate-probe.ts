/**
 * Asks the link whether somebody has an address, before it is taken.
 *
 * Source: RFC 5227 §2.1, with its counts and shorter times: three probes, and an answer on a local
 * link takes less than a millisecond.
 */
import { sleep, type Clock } from '../../kernel/clock.ts';
import type { VipAddress } from '../model.ts';
import { probeOf } from './claim.ts';
import type { Ears } from './ears.ts';
import type { Link } from './network-state.ts';

export interface ProbeTimes {
  /** 0: nobody is asked. */
  readonly count: number;
  readonly intervalMs: number;
}

/** Source: n-acd's default for links without loss, issue 6. */
export const probeTimes: ProbeTimes = { count: 3, intervalMs: 50 };

export interface DuplicateProbe {
  readonly ears: Ears;
  readonly clock: Clock;
  readonly times: ProbeTimes;
  readonly wanted: ReadonlyMap<VipAddress, Link>;
  readonly ownMacs: ReadonlySet<string>;
  readonly signal: AbortSignal;
}

/** @returns those that somebody else has or asks for too, with their MAC */
export async function findDuplicates(probe: DuplicateProbe): Promise<ReadonlyMap<VipAddress, string>> {
  const { ears, clock, times, wanted, ownMacs, signal } = probe;
  const found = new Map<VipAddress, string>();
  if (times.count === 0) return found;
  const links = new Map([...wanted].map(([address, { index }]) => [address, ears.link(index)] as const));
  ears.hear(); // What was said before is no answer.
  using _listening = ears.listen(({ address, mac }) => {
    if (wanted.has(address) && !ownMacs.has(mac)) found.set(address, mac);
  });
  for (let sent = 0; sent < times.count; sent += 1) {
    for (const [address, { mac }] of wanted) {
      if (!found.has(address)) links.get(address)?.send(probeOf(mac, address));
    }
    await sleep(clock, times.intervalMs, signal);
  }
  ears.hear();
  return found;
}
