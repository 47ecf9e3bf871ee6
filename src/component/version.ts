/** Versions as the components print them: three numbers count, a suffix (+ds1, -k3s1) does not. */

export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** The first version in `text`, or undefined if there is none. "go1.26" has patch 0. */
export function parseVersion(text: string): Version | undefined {
  const match = /(\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  if (match === null) return undefined;
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3] ?? 0) };
}

/** Negative, zero or positive, as `a` is older than, the same as or newer than `b`. */
export function compareVersions(a: Version, b: Version): number {
  return a.major - b.major || a.minor - b.minor || a.patch - b.patch;
}
