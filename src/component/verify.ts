/** Compares the cached builds with the SHA-256 that was written down when they were made. */
import { cacheEntries, damageOf } from './cache-entry.ts';

export interface Verified {
  readonly artefact: string;
  readonly folder: string;
  readonly goArch: string;
  /** One line per damaged file; empty when the build is what it was. */
  readonly damage: readonly string[];
}

/** Every complete build in `cache`, of whatever sources and architecture. */
export async function verifyComponents(cache: string): Promise<readonly Verified[]> {
  const verified: Verified[] = [];
  for (const entry of cacheEntries(cache)) {
    const { artefact, goArch } = entry.record;
    verified.push({ artefact, folder: entry.folder, goArch, damage: await damageOf(entry) });
  }
  return verified;
}
