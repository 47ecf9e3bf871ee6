/** Constructs what `k3s-lite internal etcd-watch` runs, as a process of its own: it looks at etcd's disk and leader. */
import { serveEtcdWatch } from '../cluster/etcd/serve-etcd-watch.ts';
import { systemClock } from '../kernel/clock.ts';
import { inTime } from '../kernel/in-time.ts';
import { notifySender } from '../probe/notify-sender.ts';
import { etcdClientOf } from './etcd-of.ts';

export interface InternalEtcdWatchOptions {
  readonly dataDir: string;
  readonly endpoint: string;
  /** URL of /metrics. */
  readonly metrics: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** An answer of /metrics takes milliseconds, of a machine without processor time a second. */
const scrapeMs = 5000;

/** @throws the reason of `signal` when that aborts */
export async function internalEtcdWatch({
  dataDir,
  endpoint,
  metrics,
  env,
  ...rest
}: InternalEtcdWatchOptions): Promise<never> {
  using sender = notifySender(env['NOTIFY_SOCKET']);
  return await serveEtcdWatch({
    ...rest,
    client: etcdClientOf({ dataDir, runDir: '' }, [endpoint], scrapeMs),
    scrape: (signal) =>
      inTime({ limitMs: scrapeMs, clock: systemClock, signal }, '/metrics does not answer', async (end) => {
        const response = await fetch(metrics, { signal: end });
        return await response.text();
      }),
    clock: systemClock,
    notify: (...lines) => sender.send(...lines),
  });
}
