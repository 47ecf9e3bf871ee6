/** What a further server was told when it joined, kept for its next starts: whoever told it may be gone by then. */
import * as z from 'zod';
import { parseJson } from '../../kernel/json.ts';
import { readIfThere, writeIfChanged } from '../../kernel/stored-file.ts';
import { criticalSettings } from './wire.ts';

const schema = z.object({
  version: z.literal(1),
  settings: criticalSettings,
});
export type ServerJoined = Readonly<Omit<z.infer<typeof schema>, 'version'>>;

/** Undefined when this machine has not joined, and for what another version wrote: it then joins again. */
export async function readServerJoined(file: string): Promise<ServerJoined | undefined> {
  const text = await readIfThere(file);
  if (text === undefined) return undefined;
  const parsed = schema.safeParse(parseJson(text));
  return parsed.success ? { settings: parsed.data.settings } : undefined;
}

export async function writeServerJoined(file: string, joined: ServerJoined): Promise<void> {
  await writeIfChanged(file, `${JSON.stringify({ version: 1, ...joined }, undefined, 2)}\n`, 0o600);
}
