/** What snapshots are called. Pure, and apart from the folder: every start judges a name of the settings by it. */

/** The name without node and time says what it belongs to: "on-demand" or "etcd-snapshot". Source: K3s names them so. */
export function snapshotName(name: string, nodeName: string, createdMs: number): string {
  return `${name}-${nodeName}-${String(Math.floor(createdMs / 1000))}`;
}

/** Of a name made by {@link snapshotName}: all before the time. Snapshots with the same are kept and pruned together. */
export function seriesOf(name: string): string {
  return /^(.+)-\d{9,11}$/.exec(name)?.[1] ?? name;
}

/** A plain file name: it can lead nowhere else, and hides nothing. */
export const snapshotNamePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,120}$/;
