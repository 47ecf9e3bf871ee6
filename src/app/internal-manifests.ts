/** Constructs the manifest applier: what `k3s-lite internal manifests` runs, as a process of its own. */
import { kubeClient, readCredentials } from '../cluster/kube-client.ts';
import { layoutOf } from '../cluster/layout.ts';
import { serveManifests } from '../cluster/manifests/serve-manifests.ts';
import { systemClock } from '../kernel/clock.ts';
import { notifySender } from '../probe/notify-sender.ts';

export interface InternalManifestsOptions {
  readonly dataDir: string;
  /** URL of the API server. */
  readonly server: string;
  readonly disabled: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** @throws the reason of `signal` when that aborts */
export async function internalManifests(options: InternalManifestsOptions): Promise<never> {
  const { dataDir, server, disabled, env, log, signal } = options;
  const { manifests, manifestsRecord, serverTls } = layoutOf({ dataDir, runDir: '' });
  using sender = notifySender(env['NOTIFY_SOCKET']);
  return await serveManifests({
    folder: manifests,
    recordFile: manifestsRecord,
    disabled,
    // Read at each connection: they may have been renewed meanwhile.
    connect: async () => kubeClient(await readCredentials(server, serverTls, 'client-manifests'), systemClock),
    clock: systemClock,
    log,
    notify: (...lines) => sender.send(...lines),
    signal,
  });
}
