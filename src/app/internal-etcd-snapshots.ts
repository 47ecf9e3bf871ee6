/** Constructs what `k3s-lite internal etcd-snapshots` runs, as a process of its own: snapshots of etcd by schedule. */
import { serveSnapshots } from '../cluster/etcd/serve-snapshots.ts';
import { systemClock } from '../kernel/clock.ts';
import { parseCron } from '../kernel/cron.ts';
import { notifySender } from '../probe/notify-sender.ts';
import { etcdClientOf } from './etcd-of.ts';

export interface InternalEtcdSnapshotsOptions {
  readonly dataDir: string;
  readonly endpoint: string;
  readonly nodeName: string;
  readonly schedule: string;
  readonly retention: number;
  readonly name: string;
  readonly folder: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** @throws the reason of `signal` when that aborts */
export async function internalEtcdSnapshots(options: InternalEtcdSnapshotsOptions): Promise<never> {
  const { dataDir, endpoint, schedule, env, ...rest } = options;
  using sender = notifySender(env['NOTIFY_SOCKET']);
  return await serveSnapshots({
    ...rest,
    endpoint,
    client: etcdClientOf({ dataDir, runDir: '' }, [endpoint]),
    schedule: parseCron(schedule),
    clock: systemClock,
    notify: (...lines) => sender.send(...lines),
  });
}
