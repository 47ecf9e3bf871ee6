/** The `units/` folder that comes with k3s-lite: beside `src/` in a clone, beside `dist/` in a package. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The module that asks is src/app/shipped.ts, dist/cli.cjs or a chunk below dist/: one or two folders deep. */
const candidates = ['../units', '../../units'];

/** Absolute path of the shipped unit files. @throws Error when the package is incomplete */
export function shippedUnits(): string {
  const folders = candidates.map((relative) => fileURLToPath(new URL(relative, import.meta.url)));
  const found = folders.find((folder) => existsSync(`${folder}/etcd.yaml`));
  if (found === undefined) throw new Error(`internal error: the shipped units are at none of ${folders.join(', ')}`);
  return found;
}

/** What units are loaded from. */
export interface UnitFolders {
  readonly dirs: readonly string[];
  readonly dropInDirs: readonly string[];
}

/**
 * The folders with those of a part that only some starts have (units/PART/, and units/PART.d/ where it changes others)
 * behind the shipped units that it belongs to; where those are not loaded, as they are.
 */
export function withShippedPart({ dirs, dropInDirs }: UnitFolders, part: string): UnitFolders {
  const shipped = shippedUnits();
  if (!dirs.includes(shipped)) return { dirs, dropInDirs };
  const folder = path.join(shipped, part);
  const hasUnits = existsSync(folder);
  return {
    dirs: dirs.flatMap((dir) => (dir === shipped && hasUnits ? [dir, folder] : [dir])),
    dropInDirs: [`${folder}.d`, ...dropInDirs],
  };
}
