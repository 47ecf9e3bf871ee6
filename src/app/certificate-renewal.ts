/**
 * Renews certificates while k3s-lite runs: a machine that is up for a year must not find all of them
 * expired. Every few hours they are looked at, and when one is near its end the unit that makes them
 * runs again. Nothing else restarts: components read renewed files by themselves.
 */
import { listCertificates } from '../cluster/certificate-list.ts';
import type { Layout } from '../cluster/layout.ts';
import type { Executor } from '../executor/executor-api.ts';
import { linkedAbort } from '../kernel/abort.ts';
import type { Clock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/message-of.ts';

/** Makes certificates: a server's and an agent's. */
const makers = ['certificates', 'node-certificates'] as const;
/** Holds copies of them for people. */
const copier = 'kubeconfigs';

/** A start renews 90 days before the end: there is time for many looks, and for a server that is away for weeks. */
const lookEveryMs = 6 * 3_600_000;

export interface CertificateRenewalOptions {
  readonly layout: Pick<Layout, 'serverTls' | 'agentTls'>;
  readonly executor: Pick<Executor, 'graph' | 'unit' | 'restartUnits'>;
  readonly clock: Clock;
  readonly notice: (text: string) => void;
}

/** Looks from now on until it is disposed. The start has just looked. */
export function renewCertificates(options: CertificateRenewalOptions): Disposable {
  const { layout, executor, clock, notice } = options;
  const end = linkedAbort();
  let timer: Disposable;
  const look = () => {
    timer = clock.timer(lookEveryMs, look);
    try {
      // An authority is renewed with what it signs, which is much more often than it has to be.
      const { certificates } = listCertificates(layout, clock.wallMs());
      if (!certificates.some(({ isDue, isAuthority }) => isDue && !isAuthority)) return;
      // Whoever cannot renew them says so itself: the unit's error.
      restartMakers(executor, end.signal).catch(() => undefined);
    } catch (error) {
      notice(`certificates cannot be looked at: ${messageOf(error)}`);
    }
  };
  timer = clock.timer(lookEveryMs, look);
  return {
    [Symbol.dispose]() {
      timer[Symbol.dispose]();
      end.abort(new Error('k3s-lite ends'));
    },
  };
}

async function restartMakers(executor: CertificateRenewalOptions['executor'], signal: AbortSignal): Promise<void> {
  for (const name of [...makers, copier]) {
    if (!executor.graph.has(name)) continue;
    // One that somebody has stopped is left alone.
    if (executor.unit(name).current.desired !== 'up') continue;
    const [moved] = executor.restartUnits([name]).units;
    await executor
      .unit(name)
      .when(({ state, generation }) => state === 'done' && generation > (moved?.generation ?? 0), { signal });
  }
}
