/**
 * The members of etcd as this machine last knew them, in one file: whom to ask when a start finds
 * nobody else to ask, and whom to tell of a reset. A hint and no more: each proves itself by the
 * authority of etcd, and who is a member they say themselves.
 */
import * as z from 'zod';
import { parseJson } from '../../kernel/json.ts';
import { readIfThere, writeIfChanged } from '../../kernel/stored-file.ts';
import type { EtcdMember } from './etcd-messages.ts';

export interface KnownMembers {
  /** Where they can be asked. */
  readonly clientUrls: readonly string[];
  /** Who they are; none until one of them has said so to this machine. */
  readonly members: readonly EtcdMember[];
}

const most = 100;
const isHttps = (url: string): boolean => z.url({ protocol: /^https$/ }).safeParse(url).success;

const schema = z.object({
  version: z.literal(1),
  // One that cannot be asked is passed over: the members of the same file are needed all the same.
  clientUrls: z.array(z.string()).transform((urls) => urls.filter(isHttps).slice(0, most)),
  members: z
    .array(
      z.object({
        id: z.string(),
        name: z.string(),
        peerUrls: z.array(z.string()),
        clientUrls: z.array(z.string()),
        isLearner: z.boolean(),
      }),
    )
    .max(most)
    .default([]),
});

/** None where there is no file, or one that cannot be used. */
export async function readKnownMembers(file: string): Promise<KnownMembers> {
  const text = await readIfThere(file);
  const parsed = schema.safeParse(text === undefined ? undefined : parseJson(text));
  return parsed.success ? parsed.data : { clientUrls: [], members: [] };
}

/** As they said themselves. */
export function rememberMembers(file: string, members: readonly EtcdMember[]): Promise<void> {
  return write(file, { clientUrls: members.flatMap((one) => one.clientUrls), members });
}

/** As somebody else told: who they are is not known any more. */
export function rememberAddresses(file: string, clientUrls: readonly string[]): Promise<void> {
  return write(file, { clientUrls, members: [] });
}

/** What is known stays when there is nothing new. Sorted, so that the same members are the same text. */
async function write(file: string, { clientUrls, members }: KnownMembers): Promise<void> {
  if (clientUrls.length === 0) return;
  const content: z.infer<typeof schema> = {
    version: 1,
    clientUrls: [...new Set(clientUrls)].sort(),
    members: members
      .map((one) => ({ ...one, peerUrls: [...one.peerUrls], clientUrls: [...one.clientUrls] }))
      .sort((a, b) => a.id.localeCompare(b.id)),
  };
  await writeIfChanged(file, `${JSON.stringify(content, undefined, 2)}\n`, 0o600);
}
