/** The members that etcd last had, kept as a file: whom to ask, and whom to tell, when etcd itself does not answer. */
import * as z from 'zod';
import { parseJson } from '../../kernel/json.ts';
import { readIfThere, writeIfChanged } from '../stored-file.ts';
import type { EtcdMember } from './etcd-messages.ts';

const fileSchema = z.object({
  version: z.literal(1),
  members: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      peerUrls: z.array(z.string()),
      clientUrls: z.array(z.string()),
      isLearner: z.boolean(),
    }),
  ),
});

/** Sorted, so that the same members are the same text. @returns false when nothing has changed */
export function writeMembers(file: string, members: readonly EtcdMember[]): Promise<boolean> {
  const sorted = members.toSorted((a, b) => a.id.localeCompare(b.id));
  return writeIfChanged(file, `${JSON.stringify({ version: 1, members: sorted })}\n`, 0o600);
}

/** None where there is no file, or one of another version. */
export async function readMembers(file: string): Promise<readonly EtcdMember[]> {
  return fileSchema.safeParse(parseJson((await readIfThere(file)) ?? '')).data?.members ?? [];
}
