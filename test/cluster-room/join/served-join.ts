/** A join server with real files, certificates and HTTPS, as `up --cluster-init` runs it; only the Kubernetes API is in memory. */
import { ensureCertificates } from '../../../src/cluster/certificates.ts';
import { ensureTokens } from '../../../src/cluster/join/cluster-token.ts';
import { serveJoin } from '../../../src/cluster/join/serve-join.ts';
import { layoutOf } from '../../../src/cluster/layout.ts';
import type { Settings } from '../../../src/cluster/settings.ts';
import { linkedAbort } from '../../../src/kernel/abort.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { deferred } from '../../../src/kernel/deferred.ts';
import { freePorts } from '../../cluster/kit/free-ports.ts';
import { settingsIn, temporaryFolder } from '../settings-kit.ts';
import { settings as shared } from './desk-kit.ts';
import { memoryApi, type MemoryApi } from './memory-api.ts';

export interface ServedJoin {
  readonly settings: Settings;
  readonly api: MemoryApi;
  /** Of its log. */
  readonly lines: readonly string[];
  /** Aborts at its end. */
  readonly signal: AbortSignal;
  /** Rejects with what it ended by, if that was not this. */
  end(): Promise<void>;
}

export async function servedJoin(): Promise<ServedJoin> {
  const clock = systemClock;
  const [joinPort = 0, etcdPort = 0] = await freePorts(2);
  const settings = settingsIn(temporaryFolder(), { clusterInit: true, joinPort });
  await ensureCertificates(settings, clock);
  await ensureTokens(layoutOf(settings), settings);
  const api = memoryApi();
  const lines: string[] = [];
  const life = linkedAbort(new AbortController().signal);
  const ready = deferred();
  const ended = serveJoin({
    dataDir: settings.dataDir,
    own: { name: 's1', ip: settings.nodeIp, joinPort, apiPort: 6443, hasApi: true, etcdPort, hasEtcd: true },
    settings: shared,
    connect: () => Promise.resolve(api.client),
    clock,
    log: (line) => lines.push(line),
    notify: (first) => {
      if (first === 'READY=1') ready.resolve();
    },
    signal: life.signal,
  }).catch((error: unknown) => error);
  await ready.promise;
  return {
    settings,
    api,
    lines,
    signal: life.signal,
    async end() {
      const reason = new Error('the test is over');
      life.abort(reason);
      const error = await ended;
      if (error !== reason) throw error;
    },
  };
}
