/**
 * What `certificate rotate` has asked for, as a file beside the data: whoever makes the certificates
 * finds it there, at once or at the next start, and takes it away when they are made. So nothing is
 * lost by a crash in between, and a k3s-lite that is off needs no other way.
 *
 * Keys stay: the authority would go on believing in a stolen pair until its end, so a new key takes
 * nothing from a thief; and at no moment do key and certificate on disk not belong together.
 */
import { unlink } from 'node:fs/promises';
import * as z from 'zod';
import { parseJson } from '../kernel/json.ts';
import { serviceOf } from './certificate-services.ts';
import { readIfThere, writeIfChanged } from '../kernel/stored-file.ts';

const requestSchema = z.object({ version: z.literal(1), askedMs: z.number(), services: z.array(z.string()).max(100) });

export interface Rotation {
  /** Why this certificate is to be made anew, if it is. */
  reasonFor(certFile: string): string | undefined;
  /** All of them are made. One that was asked for meanwhile stays asked for. */
  done(): Promise<void>;
}

export async function askForRotation(file: string, services: readonly string[], nowMs: number): Promise<void> {
  const before = requestSchema.safeParse(parseJson((await readIfThere(file)) ?? ''));
  const all = new Set([...(before.success ? before.data.services : []), ...services]);
  const request: z.infer<typeof requestSchema> = { version: 1, askedMs: nowMs, services: [...all] };
  await writeIfChanged(file, `${JSON.stringify(request)}\n`, 0o600);
}

export async function readRotation(file: string): Promise<Rotation> {
  const text = await readIfThere(file);
  const parsed = requestSchema.safeParse(parseJson(text ?? ''));
  const services = new Set(parsed.success ? parsed.data.services : []);
  return {
    reasonFor: (certFile) => (services.has(serviceOf(certFile)) ? 'it was asked for' : undefined),
    async done() {
      if (text !== undefined && (await readIfThere(file)) === text) await unlink(file);
    },
  };
}
