/** What a node was told when it joined, kept for its next start: whoever it is told by then may be away. */
import * as z from 'zod';
import { StartupError } from '../../error/startup-error.ts';
import { parseJson } from '../../kernel/json.ts';
import { readIfThere, writeIfChanged } from '../../kernel/stored-file.ts';
import { criticalSettings } from './wire.ts';

const joinedSchema = z.object({
  version: z.literal(1),
  /** Where this node's components reach the API. The one place that says so. */
  apiServer: z.url({ protocol: /^https$/ }),
  /** host:port of each kube-apiserver that was told of: what this node's balancer begins with. */
  apiServers: z.array(z.string()).max(1000).default([]),
  settings: criticalSettings,
});
export type Joined = Readonly<Omit<z.infer<typeof joinedSchema>, 'version'>>;

/** Undefined when this node has never joined, and for what another version wrote. */
export async function readJoinedIfThere(file: string): Promise<Joined | undefined> {
  const text = await readIfThere(file);
  if (text === undefined) return undefined;
  const parsed = joinedSchema.safeParse(parseJson(text));
  // Damaged: it joins again, which writes it anew.
  if (!parsed.success) return undefined;
  const { apiServer, apiServers, settings } = parsed.data;
  return { apiServer, apiServers, settings };
}

/** @throws StartupError ERR_JOIN when this node has not joined */
export async function readJoined(file: string): Promise<Joined> {
  const joined = await readJoinedIfThere(file);
  if (joined !== undefined) return joined;
  throw new StartupError('ERR_JOIN', `this node has not joined a cluster yet: there is no usable ${file}`, { file });
}

export async function writeJoined(file: string, joined: Joined): Promise<void> {
  await writeIfChanged(file, `${JSON.stringify({ version: 1, ...joined }, undefined, 2)}\n`, 0o600);
}
