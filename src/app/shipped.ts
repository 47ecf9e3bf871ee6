/** The `units/` folder that comes with k3s-lite: beside `src/` in a clone, beside `dist/` in a package. */
import { existsSync } from 'node:fs';
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
