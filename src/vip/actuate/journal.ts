/**
 * Which addresses may be on this machine because of us: written before the kernel is asked for one, so
 * that whatever ends us, the next start knows what to take away. After a power cut the kernel has
 * none of them, so that the file need not have reached the disk.
 */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { parseJson } from '../../kernel/json.ts';
import { readIfThere, writeAtomically } from '../../kernel/stored-file.ts';
import type { Placed } from './network-state.ts';

const fileSchema = z.object({
  addresses: z.array(z.object({ address: z.union([z.ipv4(), z.ipv6()]), interface: z.string() })),
});

export interface Journal {
  /** Empty when there is none, or when it cannot be understood: the gate's sets know the same. */
  read(): Promise<readonly Placed[]>;
  write(placed: readonly Placed[]): Promise<void>;
}

export function journalIn(stateDir: string): Journal {
  const file = path.join(stateDir, 'addresses.json');
  let written: string | undefined;
  return {
    async read() {
      const text = (await readIfThere(file)) ?? '';
      const parsed = fileSchema.safeParse(parseJson(text));
      return parsed.success ? parsed.data.addresses : [];
    },
    async write(placed) {
      const text = `${JSON.stringify({ addresses: placed })}\n`;
      if (text === written) return;
      await mkdir(stateDir, { recursive: true, mode: 0o700 });
      await writeAtomically(file, text, 0o600);
      written = text;
    },
  };
}
