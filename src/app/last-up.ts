/**
 * What `up` was asked for, kept beside its run records: when it was killed, `down` makes the same graph from
 * it, and so knows in which order to stop what lives on, and what has to be undone.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { lazily } from '../kernel/lazily.ts';
import type { FlagValues } from './flag-values.ts';

const lastUpSchema = lazily(() =>
  z.object({
    version: z.literal(1),
    /** Flags, environment and configuration files, merged; relative paths are taken from `cwd`. */
    values: z.record(z.string(), z.union([z.string(), z.boolean(), z.array(z.string())])),
    units: z.array(z.string()),
    mainArguments: z.array(z.string()),
    cwd: z.string(),
  }),
);

export interface LastUp extends Readonly<
  Omit<z.output<ReturnType<typeof lastUpSchema>>, 'values' | 'units' | 'mainArguments'>
> {
  readonly values: FlagValues;
  readonly units: readonly string[];
  readonly mainArguments: readonly string[];
}

const fileIn = (runDir: string) => path.join(runDir, 'up.json');

/** @throws the file system's error */
export function writeLastUp(runDir: string, lastUp: Omit<LastUp, 'version'>): void {
  const file = fileIn(runDir);
  writeFileSync(`${file}.new`, `${JSON.stringify({ version: 1, ...lastUp })}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** Undefined when nothing is left of an `up`, and for what another version wrote. */
export function readLastUp(runDir: string): LastUp | undefined {
  try {
    return lastUpSchema().safeParse(JSON.parse(readFileSync(fileIn(runDir), 'utf8'))).data;
  } catch {
    return undefined;
  }
}

export function removeLastUp(runDir: string): void {
  for (const file of [fileIn(runDir), `${fileIn(runDir)}.new`]) rmSync(file, { force: true });
}
