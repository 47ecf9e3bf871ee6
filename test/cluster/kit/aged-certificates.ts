/** Certificates as they lie there when a machine comes back after a long time: made long ago, with the keys that are there. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { loadSigner, makeAuthority, makeLeaf } from '../../../src/cluster/certificate-maker.ts';
import { certificatePlan } from '../../../src/cluster/certificate-plan.ts';
import type { Settings } from '../../../src/cluster/settings.ts';

const dayMs = 86_400_000;

/** @returns the SHA-256 of every key, which must be the same after the next start */
export async function ageCertificates(
  settings: Settings,
  { authorityDays, leafDays }: { readonly authorityDays: number; readonly leafDays: number },
): Promise<() => readonly string[]> {
  const { authorities, leaves } = certificatePlan(settings);
  const madeMs = (days: number) => Date.now() - days * dayMs;
  for (const authority of authorities) {
    const key = readFileSync(authority.keyFile, 'utf8');
    const certificate = await makeAuthority(authority, key, madeMs(authorityDays));
    writeFileSync(authority.certFile, certificate);
    const signer = await loadSigner(certificate, key);
    for (const leaf of leaves.filter((one) => one.authority === authority.name)) {
      const leafKey = readFileSync(leaf.keyFile, 'utf8');
      writeFileSync(leaf.certFile, await makeLeaf(leaf, leafKey, signer, madeMs(leafDays)));
    }
  }
  return () =>
    [...authorities, ...leaves].map(({ keyFile }) => createHash('sha256').update(readFileSync(keyFile)).digest('hex'));
}
