/**
 * Asks the link for addresses ahead of time: whoever takes one soon after need not wait for the answers. Nobody
 * having answered counts for a while; an answer counts for nothing, since it was most likely the holder's
 * who still had it then, and is asked for again.
 */
import type { Clock } from '../../kernel/clock.ts';
import type { VipAddress } from '../model.ts';
import { findDuplicates, type ProbeTimes } from './duplicate-probe.ts';
import type { Ears } from './ears.ts';
import type { Link } from './network-state.ts';

/** Somebody who came after we had asked is told of by what he says then (RFC 5227 §2.4): as of an address that is held. */
const countsForMs = 2000;

export interface AskingOptions {
  readonly ears: Ears;
  readonly clock: Clock;
  readonly times: ProbeTimes;
  readonly ownMacs: () => ReadonlySet<string>;
}

export interface Asking {
  /** Asks, and remembers what comes. */
  begin(wanted: ReadonlyMap<VipAddress, Link>, signal: AbortSignal): void;
  /** Of these addresses those that somebody else has, with his MAC: asks for what is not known. */
  answered(wanted: ReadonlyMap<VipAddress, Link>, signal: AbortSignal): Promise<ReadonlyMap<VipAddress, string>>;
  forget(address: VipAddress): void;
}

/** Whether nobody has answered; when that was known. */
type Silence = Promise<{ readonly isFree: boolean; readonly atMs: number }>;

export function createAsking({ ears, clock, times, ownMacs }: AskingOptions): Asking {
  const begun = new Map<VipAddress, Silence>();
  const ask = (wanted: ReadonlyMap<VipAddress, Link>, signal: AbortSignal) =>
    findDuplicates({ ears, clock, times, wanted, ownMacs: ownMacs(), signal });
  async function isKnownFree(address: VipAddress): Promise<boolean> {
    const known = await begun.get(address);
    return known?.isFree === true && clock.monotonicMs() < known.atMs + countsForMs;
  }
  return {
    begin(wanted, signal) {
      // An interface that is gone, or work that was given up: then it is not known.
      const answers = ask(wanted, signal).catch(() => undefined);
      for (const address of wanted.keys()) {
        begun.set(
          address,
          answers.then((found) => ({
            isFree: found !== undefined && !found.has(address),
            atMs: clock.monotonicMs(),
          })),
        );
      }
    },
    async answered(wanted, signal) {
      const unknown = new Map<VipAddress, Link>();
      for (const [address, link] of wanted) if (!(await isKnownFree(address))) unknown.set(address, link);
      return unknown.size === 0 ? new Map() : ask(unknown, signal);
    },
    forget: (address) => void begun.delete(address),
  };
}
