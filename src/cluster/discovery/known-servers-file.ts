/**
 * What is kept of the known servers over a restart (demand H2): a node whose `--server` is gone joins
 * through the others. Pure: text in, text out.
 *
 * It is a hint and no more: whoever is found through it proves itself by the token like any other. A
 * file that is damaged or of another version is ignored, and why is told.
 */
import * as z from 'zod';
import { parseJson } from '../../kernel/json.ts';
import { withoutOld, type KnownServer, type KnownServers } from './known-servers.ts';

const server = z.object({
  origin: z.url({ protocol: /^https$/ }),
  source: z.enum(['given', 'learned']),
  latencyMs: z.number().nonnegative().optional(),
  lastSuccessMs: z.number().optional(),
  lastToldMs: z.number().optional(),
});
const fileSchema = z.object({ version: z.literal(1), servers: z.array(server).max(1000) });

export function knownServersText(known: KnownServers): string {
  const file: z.infer<typeof fileSchema> = {
    version: 1,
    servers: known.map(({ origin, source, latencyMs, lastSuccessMs, lastToldMs }) => ({
      origin,
      source,
      ...(latencyMs === undefined ? {} : { latencyMs: Math.round(latencyMs * 10) / 10 }),
      ...(lastSuccessMs === undefined ? {} : { lastSuccessMs }),
      ...(lastToldMs === undefined ? {} : { lastToldMs }),
    })),
  };
  return `${JSON.stringify(file, undefined, 2)}\n`;
}

export interface ReadServers {
  readonly known: KnownServers;
  /** Why nothing was taken from a file that is there. */
  readonly ignored?: string;
}

/**
 * @param text - of the file; undefined when there is none
 * @param nowMs - wall clock: what is old is left out
 */
export function readKnownServers(text: string | undefined, nowMs: number): ReadServers {
  if (text === undefined) return { known: [] };
  const json = parseJson(text);
  if (json === undefined) return { known: [], ignored: 'it is no JSON' };
  const parsed = fileSchema.safeParse(json);
  if (!parsed.success) return { known: [], ignored: 'it is of another version, or damaged' };
  const known = parsed.data.servers.map(({ origin, source, latencyMs, lastSuccessMs, lastToldMs }): KnownServer => ({
    origin,
    // Who is named today, the command line says; of yesterday's names only what answered, or was told of, is kept.
    source: source === 'given' ? 'learned' : source,
    latencyMs,
    lastSuccessMs,
    lastToldMs,
    failures: 0,
    retryAtMs: undefined,
    lastError: undefined,
  }));
  return { known: withoutOld(known, nowMs) };
}
