/**
 * What the heartbeats have shown, as a file for others of this machine (the balancers, and whoever
 * looks for a server): its text, and what may be believed of one. Pure: text in, text out.
 *
 * It lies in the run-time folder and is written again and again, so that a service which hangs or has
 * ended keeps no server out: what is old, or of another boot, says nothing. Nor does a node that hears
 * nobody, or is about to (as many are doubtful as are alive): it is itself that is cut off, as far as one can tell.
 */
import * as z from 'zod';
import { parseJson } from '../../kernel/json.ts';
import type { PeerHealth } from './peer-text.ts';

/** At the latest so often, also when nothing has changed. */
export const freshenEveryMs = 1_000;
/** A few of them may be late on a busy machine. */
export const believedForMs = 4_000;

/** When a text is written or read. */
export interface Moment {
  /** Of the kernel that `nowMs` counts for. */
  readonly bootId: string;
  /** The monotonic clock, which all processes of one boot have in common. */
  readonly nowMs: number;
}

/** IPv4 addresses of peers. */
export interface Heartbeats {
  /** They answer. */
  readonly heard: readonly string[];
  /** They did, and their machines say nothing any more. */
  readonly lost: readonly string[];
}

export const noHeartbeats: Heartbeats = { heard: [], lost: [] };

const fileSchema = z.object({
  version: z.literal(1),
  bootId: z.string(),
  atMs: z.number(),
  peers: z
    .array(
      z.object({
        name: z.string(),
        ip: z.ipv4(),
        state: z.enum(['new', 'alive', 'doubtful', 'silent']),
        isLost: z.boolean().optional(),
        sinceMs: z.number().optional(),
        reason: z.string().optional(),
      }),
    )
    .max(1000),
});

export function peerHealthText(all: readonly Pick<PeerHealth, 'peer' | 'state'>[], { bootId, nowMs }: Moment): string {
  const file: z.infer<typeof fileSchema> = {
    version: 1,
    bootId,
    atMs: nowMs,
    peers: all.map(({ peer: { name, ip }, state }) => ({
      name,
      ip,
      state: state.id === 'doubtful' && state.latencyMs === undefined ? 'new' : state.id,
      ...(state.id === 'silent' ? { isLost: state.isLost, sinceMs: state.sinceMs, reason: state.reason } : {}),
    })),
  };
  return `${JSON.stringify(file, undefined, 2)}\n`;
}

/** Nothing from a text that is damaged, old, or from before a restart of the machine. */
export function readPeerHealth(text: string | undefined, { bootId, nowMs }: Moment): Heartbeats {
  const parsed = fileSchema.safeParse(parseJson(text ?? ''));
  if (!parsed.success || parsed.data.bootId !== bootId) return noHeartbeats;
  const ageMs = nowMs - parsed.data.atMs;
  if (ageMs < 0 || ageMs > believedForMs) return noHeartbeats;
  const { peers } = parsed.data;
  const of = (id: (typeof peers)[number]['state']) => peers.filter(({ state }) => state === id);
  const [alive, doubtful] = [of('alive'), of('doubtful')];
  if (alive.length <= doubtful.length) return noHeartbeats;
  // One that is doubtful has another chance, and is heard until then.
  return {
    heard: [...alive, ...doubtful].map(({ ip }) => ip),
    lost: peers.filter(({ isLost }) => isLost === true).map(({ ip }) => ip),
  };
}
