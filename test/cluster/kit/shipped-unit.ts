/** A shipped unit file with something added, to lay over the shipped folder. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Installation } from './installation.ts';

/** Fails after two starts and is then tried again every second, so that a test need not wait. */
export const quickLimit = 'restart: { limit: { starts: 2 }, backoff: { first: 100ms, max: 1s } }';

export function shippedUnit({ units }: Installation, name: string, added: string): string {
  return `${readFileSync(path.join(units, `${name}.yaml`), 'utf8')}\n${added}\n`;
}
