/** The packages that an installation of ours has beside it. */
import { cpSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';

/** Copies everything that `npm install` would bring along from the clone at `source`. */
export function copyDependencies(source: string, modules: string): void {
  for (const name of installedWith(source)) {
    cpSync(path.join(source, 'node_modules', name), path.join(modules, name), { recursive: true });
  }
}

/** Packages and those that they need, as far as they are installed: natives only for this machine. */
function installedWith(source: string): ReadonlySet<string> {
  const found = new Set<string>();
  const queue = [...dependenciesOf(source)];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const folder = path.join(source, 'node_modules', name);
    if (found.has(name) || !existsSync(folder)) continue;
    found.add(name);
    queue.push(...dependenciesOf(folder));
  }
  return found;
}

const manifestSchema = z.object({
  dependencies: z.record(z.string(), z.string()).default({}),
  optionalDependencies: z.record(z.string(), z.string()).default({}),
});

function dependenciesOf(folder: string): readonly string[] {
  const manifest = manifestSchema.parse(JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')));
  return [...Object.keys(manifest.dependencies), ...Object.keys(manifest.optionalDependencies)];
}
