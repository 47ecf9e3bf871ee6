/** Constructs the join server: what `k3s-lite internal join-server` runs, as a process of its own. */
import type { OwnServer } from '../cluster/join/server-list.ts';
import { serveJoin } from '../cluster/join/serve-join.ts';
import type { CriticalSettings } from '../cluster/join/wire.ts';
import { kubeClient, readCredentials } from '../cluster/kube-client.ts';
import { layoutOf } from '../cluster/layout.ts';
import { systemClock } from '../kernel/clock.ts';
import { notifySender } from '../probe/notify-sender.ts';

export interface InternalJoinServerOptions {
  readonly dataDir: string;
  /** URL of the API server. */
  readonly server: string;
  readonly own: OwnServer;
  readonly settings: CriticalSettings;
  readonly vipApiserver: string | undefined;
  /** Undefined: nodes are not judged. */
  readonly nodeMonitorGraceMs: number | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** @throws the reason of `signal` when that aborts */
export async function internalJoinServer({ server, env, ...rest }: InternalJoinServerOptions): Promise<never> {
  const { serverTls } = layoutOf({ dataDir: rest.dataDir, runDir: '' });
  using sender = notifySender(env['NOTIFY_SOCKET']);
  return await serveJoin({
    ...rest,
    // Read at each connection: they may have been renewed meanwhile.
    connect: async () => kubeClient(await readCredentials(server, serverTls, 'client-join'), systemClock),
    clock: systemClock,
    notify: (...lines) => sender.send(...lines),
  });
}
