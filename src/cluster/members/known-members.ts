/**
 * Where the members of etcd can be asked, as this machine last knew it. A hint and no more: each
 * proves itself by the authority of etcd, and who is a member they say themselves.
 */
import * as z from 'zod';
import { parseJson } from '../../kernel/json.ts';
import { readIfThere, writeIfChanged } from '../stored-file.ts';

const schema = z.object({ version: z.literal(1), clientUrls: z.array(z.url({ protocol: /^https$/ })).max(100) });

/** URLs for clients; none when nothing usable is known. */
export async function readKnownMembers(file: string): Promise<readonly string[]> {
  const text = await readIfThere(file);
  const parsed = schema.safeParse(text === undefined ? undefined : parseJson(text));
  return parsed.success ? parsed.data.clientUrls : [];
}

/** What is known stays when there is nothing new. */
export async function writeKnownMembers(file: string, clientUrls: readonly string[]): Promise<void> {
  if (clientUrls.length === 0) return;
  const content: z.infer<typeof schema> = { version: 1, clientUrls: [...new Set(clientUrls)].sort() };
  await writeIfChanged(file, `${JSON.stringify(content, undefined, 2)}\n`, 0o600);
}
