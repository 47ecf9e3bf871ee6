/**
 * What each file has made, kept over restarts: when a file no longer holds an object, or is gone,
 * this says what is to be deleted. Written before an object is made, so that a crash leaves nothing
 * unknown; whether an object is really ours to delete is asked of the object itself.
 */
import * as z from 'zod';
import { readIfThere, writeAtomically } from '../../kernel/stored-file.ts';

const refSchema = z.object({
  apiVersion: z.string(),
  kind: z.string(),
  namespace: z.string().optional(),
  name: z.string(),
});
/** By file name. */
const recordSchema = z.record(z.string(), z.array(refSchema));

export type ManifestRecord = Map<string, readonly z.output<typeof refSchema>[]>;

/** A file that is damaged is empty: then nothing is deleted, which harms less than the contrary. */
export async function readManifestRecord(file: string, warn: (text: string) => void): Promise<ManifestRecord> {
  const text = await readIfThere(file);
  if (text === undefined) return new Map();
  try {
    return new Map(Object.entries(recordSchema.parse(JSON.parse(text))));
  } catch {
    warn(`${file} is damaged: what files made that are gone by now is not known, and stays`);
    return new Map();
  }
}

export async function writeManifestRecord(file: string, record: ManifestRecord): Promise<void> {
  await writeAtomically(file, `${JSON.stringify(Object.fromEntries(record), undefined, 1)}\n`, 0o600);
}
