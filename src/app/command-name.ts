/**
 * What a reader types to run this k3s-lite again: `k3s-lite`, or in a clone, where no such command is installed,
 * Node.js with the script.
 */
import path from 'node:path';

/** The script's own name; an installed command is a link to it, or a copy, that is called `k3s-lite`. */
const scriptName = 'k3s-lite.js';

/** @param script - `process.argv[1]`: as it was called, links not followed */
export function commandName(script: string, cwd: string): string {
  if (path.basename(script) !== scriptName) return 'k3s-lite';
  const near = path.relative(cwd, script);
  return `node ${near.startsWith('..') ? script : near}`;
}
