/** Is this version one that the rest of the cluster can work with? Pure. */
import type { VersionRule } from './manifest.ts';
import { compareVersions, parseVersion, type Version } from './version.ts';

export type Support = { readonly supported: true } | { readonly supported: false; readonly reason: string };

const supported: Support = { supported: true };
const unsupported = (reason: string): Support => ({ supported: false, reason });

/** @param apiServer - version of the kube-apiserver that the others are measured against */
export function checkSupport(rule: VersionRule, found: string | undefined, apiServer: string): Support {
  if (rule.kind === 'any') return supported;
  const version = found === undefined ? undefined : parseVersion(found);
  if (version === undefined) return unsupported('it does not tell its version');
  switch (rule.kind) {
    case 'range':
      return checkRange(rule, version);
    case 'skew':
      return checkSkew(rule, version, apiServer);
  }
}

function checkRange(rule: Extract<VersionRule, { kind: 'range' }>, version: Version): Support {
  const atLeast = parseVersion(rule.atLeast);
  const below = rule.below === undefined ? undefined : parseVersion(rule.below);
  const tooOld = atLeast !== undefined && compareVersions(version, atLeast) < 0;
  const tooNew = below !== undefined && compareVersions(version, below) >= 0;
  return tooOld || tooNew ? unsupported(rule.because) : supported;
}

function checkSkew(rule: Extract<VersionRule, { kind: 'skew' }>, version: Version, apiServer: string): Support {
  const reference = parseVersion(apiServer);
  if (reference === undefined) return supported;
  const oldest = reference.minor - rule.older;
  const newest = reference.minor + rule.newer;
  if (version.major === reference.major && version.minor >= oldest && version.minor <= newest) return supported;
  const allowed =
    oldest === newest
      ? `${String(reference.major)}.${String(oldest)}`
      : `${String(reference.major)}.${String(oldest)} to ${String(reference.major)}.${String(newest)}`;
  return unsupported(`kube-apiserver ${apiServer} works with ${allowed}`);
}
