/**
 * Remembers that the files of a plan were found good: a start that finds the same bytes need not parse
 * and verify two dozen certificates once more, which took longer than all else of ours between the
 * units' names and the first process. Whatever differs, be it one byte or a name in the plan, and all
 * is judged again.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { renewalDueMs } from './certificate-check.ts';
import type { CertificatePlan } from './certificate-plan.ts';
import { writeAtomically } from '../kernel/stored-file.ts';

/** To be raised with each change of what is judged: older stamps then hold no more. */
const rules = 1;

const stampSchema = z.strictObject({
  rules: z.literal(rules),
  /** SHA-256 (hex) of the plan and of every file of it. */
  digest: z.string(),
  /** Good from when the last of them begins until the first is due for renewal; wall clock, ms. */
  fromMs: z.number(),
  untilMs: z.number(),
});

export interface CertificateStamp {
  /** Is everything what was found good, and is none of it due? */
  holds(nowMs: number): boolean;
  /** To be called when everything has been found good, or made. */
  write(): Promise<void>;
}

/** @param file where it is kept; it holds no secret */
export function certificateStamp(plan: CertificatePlan, file: string): CertificateStamp {
  return {
    holds(nowMs) {
      const stored = readStamp(file);
      return (
        stored !== undefined && stored.fromMs <= nowMs && nowMs < stored.untilMs && stored.digest === digestOf(plan)
      );
    },
    async write() {
      const digest = digestOf(plan);
      if (digest === undefined) return;
      const pairs = [...plan.authorities, ...plan.leaves];
      const certificates = pairs.map(({ certFile }) => new X509Certificate(readFileSync(certFile)));
      const fromMs = Math.max(...certificates.map(({ validFrom }) => Date.parse(validFrom)));
      const untilMs = Math.min(...certificates.map(renewalDueMs));
      await writeAtomically(file, JSON.stringify({ rules, digest, fromMs, untilMs }), 0o600);
    },
  };
}

function readStamp(file: string): z.infer<typeof stampSchema> | undefined {
  try {
    return stampSchema.safeParse(JSON.parse(readFileSync(file, 'utf8'))).data;
  } catch {
    return undefined; // there is none, or what is there is none
  }
}

/** Undefined when one of the files cannot be read: whoever judges them says why. */
function digestOf(plan: CertificatePlan): string | undefined {
  const pairs = [...plan.authorities, ...plan.leaves].flatMap(({ certFile, keyFile }) => [certFile, keyFile]);
  const hash = createHash('sha256').update(JSON.stringify(plan));
  try {
    for (const file of [...pairs, plan.serviceAccountKey, ...plan.copies.map(({ to }) => to)]) {
      const content = readFileSync(file);
      hash.update(`\n${file} ${String(content.length)}\n`).update(content);
    }
  } catch {
    return undefined;
  }
  return hash.digest('hex');
}
