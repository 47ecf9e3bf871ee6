/**
 * How much traffic each address has that this node answers for, measured at a steady pace for as long as it
 * runs. What is told goes out with the next renewal of the node's Lease, and costs the API no request.
 */
import { sleep, type Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/message-of.ts';
import type { VipAddress } from '../model.ts';
import type { TrafficMeter } from './traffic-meter.ts';
import { levelsOf, measure, noRates } from './traffic-rates.ts';

/** Two programs each time; and half a minute is measured before anything is told. */
export const measureEveryMs = 10_000;

export interface FollowTrafficOptions {
  readonly meter: TrafficMeter;
  /** Those that we answer for now. */
  readonly held: () => readonly VipAddress[];
  readonly clock: Clock;
  /** After each measurement. */
  readonly onLevels: (levels: ReadonlyMap<VipAddress, number>) => void;
  /** Undefined: it is measured (again). */
  readonly onFault: (fault: string | undefined) => void;
  readonly signal: AbortSignal;
}

/** Until the signal aborts; then rejects with its reason. */
export async function followTraffic(options: FollowTrafficOptions): Promise<never> {
  const { meter, held, clock, onLevels, onFault, signal } = options;
  let rates = noRates;
  for (;;) {
    try {
      const bytes = await meter.read(held(), signal);
      rates = measure(rates, bytes, clock.monotonicMs());
      onLevels(levelsOf(rates));
      onFault(undefined);
    } catch (error) {
      signal.throwIfAborted();
      onFault(messageOf(error));
    }
    await sleep(clock, measureEveryMs, signal);
  }
}
