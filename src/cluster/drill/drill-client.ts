/**
 * A client as a drill wants it: a read or a write every few milliseconds, each on a connection of its
 * own, each tried once more when it failed. It goes on however slow the answers are.
 */
import { linkedAbort } from '../../kernel/abort.ts';
import { sleep, type Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/message-of.ts';
import type { KubeClient } from '../kube-client.ts';
import type { RequestKind, Sample } from './drill-report.ts';

/** 20 requests a second. Source: issue 5, "a client that makes 20 requests a second on fresh connections". */
const everyMs = 50;
/** Every fourth is a write. */
const writeEvery = 4;
/** A try that hangs is given up: somebody who retries does so. */
const tryWithinMs = 1_000;
const mostTries = 2;

export interface DrillClientOptions {
  /** A client with a connection of its own. */
  readonly connect: () => Pick<KubeClient, 'get' | 'apply' | typeof Symbol.dispose>;
  readonly clock: Clock;
  /** Monotonic time at which the drill began. */
  readonly zeroMs: number;
  readonly signal: AbortSignal;
}

/** Asks until `signal` aborts and resolves, when the last answer is there, with all that was asked. */
export async function askSteadily(options: DrillClientOptions): Promise<readonly Sample[]> {
  const { clock, signal } = options;
  const asking: Promise<Sample>[] = [];
  for (let at = 0; !signal.aborted; at += 1) {
    asking.push(ask(at % writeEvery === writeEvery - 1 ? 'write' : 'read', at, options));
    await sleep(clock, everyMs, signal).catch(() => undefined);
  }
  return Promise.all(asking);
}

async function ask(kind: RequestKind, at: number, { connect, clock, zeroMs }: DrillClientOptions): Promise<Sample> {
  const begunMs = clock.monotonicMs() - zeroMs;
  let error: string | undefined;
  for (let tries = 1; tries <= mostTries; tries += 1) {
    using client = connect();
    error = await attempt(kind, at, client, clock);
    const endedMs = clock.monotonicMs() - zeroMs;
    if (error === undefined || tries === mostTries) return { kind, begunMs, endedMs, tries, error };
  }
  throw new Error('internal error: the last try has returned');
}

/** What is written: an object of the drill's own, which it deletes at the end. */
export const drillObject = '/api/v1/namespaces/kube-system/configmaps/k3s-lite-drill';

async function attempt(
  kind: RequestKind,
  at: number,
  client: ReturnType<DrillClientOptions['connect']>,
  clock: Clock,
): Promise<string | undefined> {
  using limit = linkedAbort();
  const late = new Error(`no answer within ${String(tryWithinMs / 1000)} s`);
  using _timer = clock.timer(tryWithinMs, () => limit.abort(late));
  try {
    if (kind === 'read') await client.get('/api/v1/namespaces/kube-system', limit.signal);
    else {
      const metadata = { name: 'k3s-lite-drill', namespace: 'kube-system' };
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { at: String(at) } };
      await client.apply(drillObject, body, limit.signal);
    }
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code ?? messageOf(error);
  }
}
