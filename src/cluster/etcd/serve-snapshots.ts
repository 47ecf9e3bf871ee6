/** The service behind units/etcd-snapshots: saves a snapshot when the schedule says so, and removes the oldest. */
import { formatBytes } from '../../kernel/bytes.ts';
import { sleep, type Clock } from '../../kernel/clock.ts';
import type { CronSchedule } from '../../kernel/cron.ts';
import { messageOf } from '../../kernel/message-of.ts';
import type { EtcdClient } from './etcd-client.ts';
import { saveSnapshot } from './save-snapshot.ts';
import { listSnapshots, removeSnapshot, surplusSnapshots } from './snapshot-folder.ts';
import { seriesOf, snapshotName } from './snapshot-name.ts';

export interface ServeSnapshotsOptions {
  readonly client: EtcdClient;
  readonly endpoint: string;
  readonly folder: string;
  readonly name: string;
  readonly nodeName: string;
  readonly retention: number;
  readonly schedule: CronSchedule;
  readonly clock: Clock;
  readonly log: (line: string) => void;
  /** To whoever supervises: "READY=1", "STATUS=…", "X_WARNING=…". */
  readonly notify: (...lines: readonly string[]) => void;
  readonly signal: AbortSignal;
}

/** The clock may jump, and a timer holds 24 days: the time that is waited for is looked at again this often. */
const lookAgainMs = 60_000;

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function serveSnapshots(options: ServeSnapshotsOptions): Promise<never> {
  const { schedule, clock, log, notify, signal } = options;
  let outcome = 'none saved yet';
  let isReady = false;
  for (;;) {
    const nextMs = schedule.nextMs(clock.wallMs());
    const next = nextMs === undefined ? 'the schedule never comes' : `next at ${new Date(nextMs).toISOString()}`;
    notify(...(isReady ? [] : ['READY=1']), `STATUS=${outcome}; ${next}`);
    isReady = true;
    while (nextMs === undefined || clock.wallMs() < nextMs) {
      await sleep(clock, Math.min(lookAgainMs, (nextMs ?? Number.POSITIVE_INFINITY) - clock.wallMs()), signal);
    }
    try {
      const saved = await saveSnapshot(options);
      outcome = `saved ${saved.name} (${formatBytes(saved.sizeBytes)})`;
      log(outcome);
      for (const removed of await pruneSnapshots(options)) log(`removed ${removed}`);
    } catch (error) {
      signal.throwIfAborted();
      outcome = messageOf(error);
      log(outcome);
      notify(`X_WARNING=${outcome}`);
    }
  }
}

/** Removes the oldest of this name and node beyond `retention`. @returns the names of those removed */
export async function pruneSnapshots({
  folder,
  name,
  nodeName,
  retention,
}: Pick<ServeSnapshotsOptions, 'folder' | 'name' | 'nodeName' | 'retention'>): Promise<readonly string[]> {
  const series = seriesOf(snapshotName(name, nodeName, 1e12));
  const surplus = surplusSnapshots(await listSnapshots(folder), retention, (each) => each === series);
  for (const snapshot of surplus) await removeSnapshot(snapshot);
  return surplus.map((snapshot) => snapshot.name);
}
