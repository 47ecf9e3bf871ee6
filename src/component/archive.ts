/**
 * Builds as one tar archive, for images, air gaps and machines without Go.
 *
 * First member: `k3s-lite-components.json` with the record (files, sizes, SHA-256, links) of each
 * build; then the files as `<build>/<name>`. Links are made from the records, so an archive holds
 * regular files only. Checksums prove that nothing was damaged on the way, not who made it.
 */
import * as z from 'zod';
import { StartupError } from '../error/startup-error.ts';
import { buildRecordSchema, type BuildRecord } from './cache-entry.ts';
import { entryName } from './source-key.ts';

export const archiveIndexName = 'k3s-lite-components.json';

/** The index of a few builds takes some kB; a bigger one is no index of ours. */
export const maxIndexBytes = 1_000_000;

export const archiveIndexSchema = z.strictObject({
  format: z.literal(1),
  builds: z.array(buildRecordSchema).min(1),
});
export type ArchiveIndex = z.infer<typeof archiveIndexSchema>;

/** The folder of a build, in the cache and in an archive. */
export function buildFolderName({ artefact, goArch, sourceKey, goVersion }: BuildRecord): string {
  return entryName(artefact, goArch, sourceKey, goVersion);
}

export function archiveError(verb: 'export' | 'import', reason: string, hint: string, cause?: unknown): StartupError {
  return new StartupError(
    'ERR_COMPONENT',
    `cannot ${verb} components: ${reason}`,
    { component: 'components', hint },
    cause === undefined ? {} : { cause },
  );
}
