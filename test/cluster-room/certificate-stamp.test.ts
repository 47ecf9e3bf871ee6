import { readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { certificatePlan } from '../../src/cluster/certificate-plan.ts';
import { certificateStamp } from '../../src/cluster/certificate-stamp.ts';
import { ensureCertificates } from '../../src/cluster/certificates.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { settingsIn, temporaryFolder } from './settings-kit.ts';

const dayMs = 86_400_000;

async function made() {
  const settings = settingsIn(temporaryFolder());
  await ensureCertificates(settings, systemClock);
  const plan = certificatePlan(settings);
  const file = path.join(settings.dataDir, 'server/tls/checked.json');
  return { plan, file, stamp: certificateStamp(plan, file) };
}

test('what was made or found good is not judged again until something of it changes', async () => {
  const { plan, file, stamp } = await made();
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(stamp.holds(Date.now())).toBe(true);

  const every = [...plan.authorities, ...plan.leaves].flatMap(({ certFile, keyFile }) => [certFile, keyFile]);
  for (const one of [...every, plan.serviceAccountKey, ...plan.copies.map(({ to }) => to)]) {
    const before = readFileSync(one);
    const changed = Buffer.from(before);
    changed[40] = (changed[40] ?? 0) ^ 1;
    writeFileSync(one, changed);
    expect(stamp.holds(Date.now()), `a flipped bit in ${one}`).toBe(false);
    unlinkSync(one);
    expect(stamp.holds(Date.now()), `without ${one}`).toBe(false);
    writeFileSync(one, before);
  }
  expect(stamp.holds(Date.now())).toBe(true);
});

test('it holds for the same plan alone, and for as long as none of them is due', async () => {
  const { plan, file, stamp } = await made();
  const renamed = { ...plan, leaves: plan.leaves.map((leaf) => ({ ...leaf, dnsNames: ['elsewhere'] })) };
  expect(certificateStamp(renamed, file).holds(Date.now())).toBe(false);
  // Leaves are good for 365 days, and renewed 90 before their end.
  expect(stamp.holds(Date.now() + 270 * dayMs)).toBe(true);
  expect(stamp.holds(Date.now() + 276 * dayMs)).toBe(false);
  expect(stamp.holds(Date.now() - 365 * dayMs)).toBe(false);
});

test.each(['', '{', '{"rules":0}', '[]'])('a stamp that is none (%j) counts for nothing', async (text) => {
  const { file, stamp } = await made();
  writeFileSync(file, text);
  expect(stamp.holds(Date.now())).toBe(false);
});
