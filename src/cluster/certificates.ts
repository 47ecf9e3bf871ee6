/**
 * The `certificates` builtin: makes what is missing, renews what is near its end or no longer says
 * what the settings say, and leaves everything else untouched.
 *
 * An authority that we made is renewed with its own key, so that it stays the same authority; one of
 * somebody else's is left alone, and refused when it has expired.
 *
 * A key is written before its certificate and kept when the certificate is renewed, so at no moment
 * (crash or reload of a running server) do the two on disk not belong together.
 */
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Builtin } from '../unit/builtin.ts';
import type { Clock } from '../kernel/clock.ts';
import { fsPromises } from '../kernel/lazily.ts';
import {
  authorityRenewal,
  certificateError,
  hasKey,
  readPair,
  renewalReason,
  type StoredPair,
} from './certificate-check.ts';
import type { Signer } from './certificate-maker.ts';
import {
  certificatePlan,
  type AuthorityName,
  type AuthorityPlan,
  type CertificatePlan,
  type LeafPlan,
} from './certificate-plan.ts';
import type { Rotation } from './certificate-rotation.ts';
import { certificateStamp } from './certificate-stamp.ts';
import { layoutOf } from './layout.ts';
import type { Settings } from './settings.ts';
import { readIfThere, writeAtomically, writeIfChanged } from '../kernel/stored-file.ts';

type Maker = typeof import('./certificate-maker.ts');

export interface CertificatesReport {
  /** One line for each thing made, with the reason. */
  readonly made: readonly string[];
  /** What of it was there before and had to be replaced. */
  readonly renewed: { readonly authorities: readonly string[]; readonly leaves: readonly string[] };
}

/** @throws StartupError ERR_CERTIFICATE naming the file that is broken, does not match or has expired */
export async function ensureCertificates(settings: Settings, clock: Clock): Promise<CertificatesReport> {
  const plan = certificatePlan(settings);
  const nowMs = clock.wallMs();
  const stamp = certificateStamp(plan, layoutOf(settings).certificateStamp);
  const rotation = await rotationIn(layoutOf(settings).rotation);
  if (rotation === undefined && stamp.holds(nowMs)) return { made: [], renewed: { authorities: [], leaves: [] } };
  const report = await judgeAndMake(plan, nowMs, rotation);
  await rotation?.done();
  await stamp.write();
  return report;
}

/** What somebody has asked for; seldom anything, and then its code is loaded. */
async function rotationIn(file: string): Promise<Rotation | undefined> {
  return existsSync(file) ? (await import('./certificate-rotation.ts')).readRotation(file) : undefined;
}

async function judgeAndMake(
  plan: CertificatePlan,
  nowMs: number,
  rotation: Rotation | undefined,
): Promise<CertificatesReport> {
  const made: string[] = [];
  const renewed = { authorities: [] as string[], leaves: [] as string[] };
  let maker: Promise<Maker> | undefined;
  const load = () => (maker ??= import('./certificate-maker.ts'));

  const files = [...plan.authorities, ...plan.leaves].flatMap(({ certFile, keyFile }) => [certFile, keyFile]);
  for (const folder of new Set([...files, plan.serviceAccountKey].map((file) => path.dirname(file)))) {
    await fsPromises().mkdir(folder, { recursive: true, mode: 0o700 });
  }

  // Everything stored is read and judged before anything is written: a mistake found late would
  // leave a half-renewed set behind.
  const hasRsa = hasKey(plan.serviceAccountKey);
  const authorities = plan.authorities.map((one) => ({ one, stored: readPair(`${one.name} authority`, one) }));
  const leaves = plan.leaves.map((leaf) => ({ leaf, stored: readPair(leaf.name, leaf) }));
  const renewals = new Map(authorities.map(({ one, stored }) => [one.name, authorityRenewal(one, stored, nowMs)]));

  // First, because finding an RSA key takes 0.05 to 0.2 s, on another thread.
  const rsaMade = hasRsa ? undefined : load().then((make) => storeKey(make.makeRsaKey(), plan.serviceAccountKey));
  if (rsaMade !== undefined) made.push('service-account key: it was missing');
  rsaMade?.catch(() => undefined); // awaited below; must not be unhandled when an authority fails first

  const byName = new Map<AuthorityName, Authority>(
    await Promise.all(
      authorities.map(
        async ({ one, stored }) =>
          [
            one.name,
            await ensureAuthority(one, stored, { load, nowMs, made, renewal: renewals.get(one.name) }),
          ] as const,
      ),
    ),
  );
  const writes = leaves.map(async ({ leaf, stored }) => {
    const authority = byName.get(leaf.authority);
    if (authority === undefined) throw new Error(`internal error: no authority ${leaf.authority}`);
    const reason =
      stored.certificate === undefined || stored.keyPem === undefined
        ? 'it was missing'
        : (renewalReason(leaf, stored.certificate, authority.certificate, nowMs) ?? rotation?.reasonFor(leaf.certFile));
    if (reason === undefined) return;
    await makeLeaf(leaf, stored, { make: await load(), signer: await authority.signer(), nowMs });
    made.push(`${leaf.name} certificate: ${reason}`);
    if (stored.certificate !== undefined) renewed.leaves.push(`${leaf.name} (${reason})`);
  });
  for (const [name, reason] of renewals) if (reason !== undefined) renewed.authorities.push(`${name} (${reason})`);
  await Promise.all([rsaMade, ...writes]);
  for (const { from, to } of plan.copies) await writeIfChanged(to, (await readIfThere(from)) ?? '');
  return { made, renewed };
}

interface Authority {
  readonly certificate: X509Certificate;
  /** Loaded at the first leaf that has to be signed. */
  signer(): Promise<Signer>;
}

interface Making {
  readonly load: () => Promise<Maker>;
  readonly nowMs: number;
  readonly made: string[];
  /** Why the authority must be renewed, if it must. */
  readonly renewal: string | undefined;
}

async function ensureAuthority(
  plan: AuthorityPlan,
  stored: StoredPair,
  { load, nowMs, made, renewal }: Making,
): Promise<Authority> {
  let certificatePem = renewal === undefined ? stored.certificate?.toString() : undefined;
  let { keyPem } = stored;
  if (certificatePem === undefined) {
    const make = await load();
    keyPem ??= await storeKey(make.makeEcdsaKey(), plan.keyFile);
    const fromMs = stored.certificate === undefined ? undefined : Date.parse(stored.certificate.validFrom);
    certificatePem = await make.makeAuthority(plan, keyPem, nowMs, fromMs);
    await writeAtomically(plan.certFile, certificatePem, 0o644);
    made.push(`${plan.name} authority: ${renewal ?? 'it was missing'}`);
  }
  const certificate = new X509Certificate(certificatePem);
  const pem = certificatePem;
  let signer: Promise<Signer> | undefined;
  return {
    certificate,
    signer: () =>
      (signer ??= (async () => {
        if (keyPem === undefined) {
          throw certificateError(plan.keyFile, 'the key of the authority is missing, so nothing can be signed', {
            remedy: 'Put the key back from a backup, or bring certificates signed by its owner.',
          });
        }
        return (await load()).loadSigner(pem, keyPem);
      })()),
  };
}

async function makeLeaf(
  plan: LeafPlan,
  stored: StoredPair,
  { make, signer, nowMs }: { make: Maker; signer: Signer; nowMs: number },
): Promise<void> {
  const keyPem = stored.keyPem ?? (await storeKey(make.makeEcdsaKey(), plan.keyFile));
  await writeAtomically(plan.certFile, await make.makeLeaf(plan, keyPem, signer, nowMs), 0o644);
}

async function storeKey(making: Promise<string>, file: string): Promise<string> {
  const pem = await making;
  await writeAtomically(file, pem, 0o600);
  return pem;
}

export interface CertificatesPorts {
  readonly clock: Clock;
  /** Tells a person. */
  readonly notice: (text: string) => void;
}

export function certificatesBuiltin(settings: Settings, { clock, notice }: CertificatesPorts): Builtin {
  return async ({ log }) => {
    const { made, renewed } = await ensureCertificates(settings, clock);
    for (const line of made) log(`made ${line}`);
    if (made.length === 0) log('all certificates are good');
    if (renewed.authorities.length > 0) {
      notice(
        `renewed with its own key: the authority ${renewed.authorities.join(', ')}; what it has signed stays good, but kubeconfigs that were copied elsewhere hold its old certificate: copy ${settings.writeKubeconfig} again`,
      );
    }
    const [first, ...others] = renewed.leaves;
    if (first !== undefined) notice(`renewed: the certificate ${first}${more(others.length)}`);
  };
}

const more = (count: number): string =>
  count === 0 ? '' : ` and ${String(count)} more; \`k3s-lite logs certificates\` lists them`;
