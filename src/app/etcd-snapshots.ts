/** What `k3s-lite etcd-snapshot` does: saves, lists, prunes and restores snapshots of the etcd of one data directory. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { restoreSnapshot, type Restored } from '../cluster/etcd/restore-snapshot.ts';
import { saveSnapshot } from '../cluster/etcd/save-snapshot.ts';
import { listSnapshots, removeSnapshot, surplusSnapshots, type Snapshot } from '../cluster/etcd/snapshot-folder.ts';
import { seriesOf, snapshotNamePattern } from '../cluster/etcd/snapshot-name.ts';
import { layoutOf } from '../cluster/layout.ts';
import { directoryOf } from '../cluster/machine.ts';
import { StartupError } from '../error/startup-error.ts';
import { createEventStream } from '../event/stream.ts';
import { systemClock } from '../kernel/clock.ts';
import { nearestName } from '../kernel/nearest.ts';
import type { Configuration } from './configuration.ts';
import { claimDataDirectory } from './data-directory.ts';
import { asLastUp, etcdClientOf, ownEndpoint, settingsOf } from './etcd-of.ts';
import { prepare, type Prepared } from './prepare.ts';

export interface SnapshotPlace {
  readonly configuration: Configuration;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly signal: AbortSignal;
}

const settingsAt = ({ configuration, cwd }: SnapshotPlace) => settingsOf(asLastUp(configuration), cwd);

/** @throws StartupError ERR_SNAPSHOT, ERR_ETCD */
export function saveNow(
  place: SnapshotPlace,
  name: string,
  onProgress?: (savedBytes: number, remainingBytes: number) => void,
): Promise<Snapshot> {
  const settings = settingsAt(place);
  const endpoint = ownEndpoint(settings);
  return saveSnapshot({
    ...{ client: etcdClientOf(settings, [endpoint]), endpoint, folder: settings.etcdSnapshotDir, name },
    ...{ nodeName: settings.nodeName, clock: systemClock, signal: place.signal },
    ...(onProgress === undefined ? {} : { onProgress }),
  });
}

export function listAll(place: SnapshotPlace): Promise<readonly Snapshot[]> {
  return listSnapshots(settingsAt(place).etcdSnapshotDir);
}

/** Of each series the newest stay. @returns those that were removed */
export async function pruneAll(
  place: SnapshotPlace,
  { keep, name }: { readonly keep: number; readonly name?: string | undefined },
): Promise<readonly Snapshot[]> {
  // "on-demand" means those of every node: "on-demand-node1".
  const isMeant = (series: string) => name === undefined || series === name || series.startsWith(`${name}-`);
  const surplus = surplusSnapshots(await listAll(place), keep, isMeant);
  for (const snapshot of surplus) await removeSnapshot(snapshot);
  return surplus;
}

/** The file that a person means by a name of the list, or by a path. @throws StartupError ERR_SNAPSHOT with the nearest name */
export async function snapshotFile(folder: string, name: string, cwd: string): Promise<string> {
  if (!snapshotNamePattern.test(name)) return path.resolve(cwd, name);
  const known = await listSnapshots(folder);
  const found = known.find((snapshot) => snapshot.name === name);
  if (found !== undefined) return found.file;
  if (existsSync(path.resolve(cwd, name))) return path.resolve(cwd, name);
  const near = nearestName(name, [...known.map((each) => each.name), ...known.map((each) => seriesOf(each.name))]);
  const hint = near === undefined ? '' : `, did you mean ${near}?`;
  throw new StartupError('ERR_SNAPSHOT', `there is no snapshot ${name} in ${folder}${hint}`, { name, folder });
}

/**
 * Nothing may run on the data directory: what an earlier, killed k3s-lite left running is ended.
 *
 * @throws StartupError ERR_LOCKED while a k3s-lite runs; ERR_SNAPSHOT
 */
export async function restoreNow(place: SnapshotPlace, name: string): Promise<Restored & { readonly file: string }> {
  const { configuration, env, cwd } = place;
  const asked = asLastUp(configuration);
  const file = await snapshotFile(settingsAt(place).etcdSnapshotDir, name, cwd);
  const prepared = await prepare({ configuration: asked, units: [], env, cwd, needsPrograms: false, mayBeGone: true });
  const events = createEventStream({ clock: systemClock });
  const { paths } = configuration;
  using _claim = await claimDataDirectory({ paths, graph: prepared.graph, wanted: [], clock: systemClock, events });
  const restored = await restoreInto(prepared, file, place.signal);
  return { ...restored, file };
}

/** The data directory has to be ours already. */
export function restoreInto(prepared: Prepared, file: string, signal: AbortSignal): Promise<Restored> {
  const { memberName, peerUrl } = etcdUnitOf(prepared);
  const { etcdData } = layoutOf(prepared.settings);
  const etcdutl = programOf(prepared, 'etcdutl');
  return restoreSnapshot({ file, etcdData, memberName, peerUrl, etcdutl, clock: systemClock, signal });
}

/** @throws StartupError ERR_COMPONENT */
export function programOf({ searchPath }: Prepared, name: string): string {
  const folder = directoryOf(name, searchPath);
  if (folder !== undefined) return path.join(folder, name);
  throw new StartupError('ERR_COMPONENT', `cannot find ${name}`, { component: name });
}

/** What the unit tells its member of itself. @throws StartupError ERR_CONFIG when this machine has no etcd */
export function etcdUnitOf({ graph }: Pick<Prepared, 'graph'>): { memberName: string; peerUrl: string } {
  const flags = graph.has('etcd') ? graph.unit('etcd').flags : {};
  const [memberName, peerUrl] = [flags['name'], flags['initial-advertise-peer-urls']];
  if (typeof memberName === 'string' && typeof peerUrl === 'string') return { memberName, peerUrl };
  throw new StartupError('ERR_CONFIG', 'this machine has no member of etcd: its units have no etcd', {});
}
