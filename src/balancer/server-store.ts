/**
 * The list as it is kept over a restart: a node whose only configured server is down finds the others
 * again. Pure: text in, text out. What is stored is a hint and no more: it is only believed for the
 * same default server and for a while, and an update replaces it.
 */
import * as z from 'zod';
import { parseJson } from '../kernel/json.ts';
import type { ServerSpec } from './routing-input.ts';
import type { RoutingState } from './routing-state.ts';

/** Older than this the addresses may belong to somebody else. */
export const maxAgeMs = 30 * 24 * 3_600_000;

const storeSchema = z.object({
  version: z.literal(1),
  default: z.string().nullable(),
  savedAtMs: z.number(),
  servers: z.array(z.object({ address: z.string(), weight: z.number(), state: z.string().optional() })).max(1000),
});

/** What is written: the list, and in which state each server was last seen (for people). */
export function storeText({ servers }: RoutingState, nowWallMs: number): string {
  const stored: z.infer<typeof storeSchema> = {
    version: 1,
    default: servers.find(({ isDefault }) => isDefault)?.address ?? null,
    savedAtMs: nowWallMs,
    servers: servers
      .filter(({ isListed }) => isListed)
      .map(({ address, weight, state }) => ({ address, weight, state }))
      .sort((a, b) => (a.address < b.address ? -1 : 1)),
  };
  return `${JSON.stringify(stored, undefined, 2)}\n`;
}

export interface Stored {
  readonly servers: readonly ServerSpec[];
  /** Why nothing was taken from a file that is there. */
  readonly ignored?: string;
}

/** @param text - of the file; undefined when there is none */
export function readStore(text: string | undefined, byDefault: string | undefined, nowWallMs: number): Stored {
  if (text === undefined) return { servers: [] };
  const ignored = (reason: string): Stored => ({ servers: [], ignored: reason });
  const json = parseJson(text);
  if (json === undefined) return ignored('it is no JSON');
  const parsed = storeSchema.safeParse(json);
  if (!parsed.success) return ignored('it is of another version, or damaged');
  const { default: storedDefault, savedAtMs, servers } = parsed.data;
  if (storedDefault !== (byDefault ?? null)) return ignored('it is of another default server');
  if (nowWallMs - savedAtMs > maxAgeMs) return ignored('it is older than 30 days');
  return { servers: servers.map(({ address, weight }) => ({ address, weight })) };
}
