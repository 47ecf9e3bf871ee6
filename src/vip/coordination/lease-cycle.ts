/** The tries of one renewal, or of getting a Lease: above all the writes of which nobody knows whether they have happened. */
import type { Call, Cycle } from './lease-model.ts';

/** Writes without an answer that are remembered; an older one is written again instead. */
const mostUnclear = 16;

export const noCycle: Cycle = { beganAtMs: 0, attempts: 0, unclear: new Map() };

export const withCall = ({ unclear }: Cycle, { nonce, sentAtMs }: Call): Cycle['unclear'] =>
  new Map([...unclear, [nonce, sentAtMs] as const].slice(-mostUnclear));
