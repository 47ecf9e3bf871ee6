/**
 * The folder of snapshots: one file each, and beside it what is known of it (NAME.json). A file that
 * came from elsewhere has no such record and is listed all the same.
 */
import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { parseJson } from '../../kernel/json.ts';
import { readIfThere, writeAtomically } from '../../kernel/stored-file.ts';
import { seriesOf, snapshotNamePattern } from './snapshot-name.ts';

const recordSchema = z.object({
  version: z.literal(1),
  nodeName: z.string(),
  createdMs: z.number(),
  sizeBytes: z.number(),
  /** Hexadecimal; etcd appends the same to the file. */
  sha256: z.string(),
  clusterId: z.string(),
  etcdVersion: z.string(),
  /** What etcd was at when the snapshot was asked for: it has at least that. */
  revision: z.number(),
});
export type SnapshotRecord = Readonly<z.infer<typeof recordSchema>>;

export interface Snapshot {
  readonly name: string;
  readonly file: string;
  readonly sizeBytes: number;
  readonly createdMs: number;
  /** Absent for a file that was not saved here, or is not the one that was. */
  readonly record?: SnapshotRecord;
}

const recordFileOf = (file: string): string => `${file}.json`;

export async function writeSnapshotRecord(file: string, record: SnapshotRecord): Promise<void> {
  await writeAtomically(recordFileOf(file), `${JSON.stringify(record)}\n`, 0o600);
}

/** Newest first; none where there is no folder. */
export async function listSnapshots(folder: string): Promise<readonly Snapshot[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  const snapshots = names
    .filter((name) => snapshotNamePattern.test(name) && !name.endsWith('.json') && !name.endsWith('.new'))
    .map(async (name): Promise<Snapshot | undefined> => {
      const file = path.join(folder, name);
      const found = await stat(file).catch(() => undefined); // removed meanwhile
      if (found?.isFile() !== true) return undefined;
      const record = recordSchema.safeParse(parseJson((await readIfThere(recordFileOf(file))) ?? '')).data;
      const isOfFile = record?.sizeBytes === found.size;
      return {
        ...{ name, file, sizeBytes: found.size },
        createdMs: isOfFile ? record.createdMs : found.mtimeMs,
        ...(isOfFile ? { record } : {}),
      };
    });
  const found = (await Promise.all(snapshots)).filter((each) => each !== undefined);
  return found.toSorted((a, b) => b.createdMs - a.createdMs || b.name.localeCompare(a.name));
}

/** Those of each series that are more than `keep`, oldest last. Pure; `series` restricts it to one. */
export function surplusSnapshots(
  snapshots: readonly Snapshot[],
  keep: number,
  series?: (name: string) => boolean,
): readonly Snapshot[] {
  const counts = new Map<string, number>();
  return snapshots.filter(({ name }) => {
    const of = seriesOf(name);
    if (of === name || series?.(of) === false) return false;
    const count = (counts.get(of) ?? 0) + 1;
    counts.set(of, count);
    return count > keep;
  });
}

export async function removeSnapshot({ file }: Snapshot): Promise<void> {
  await rm(file, { force: true });
  await rm(recordFileOf(file), { force: true });
}
