/** A client of the API whose certificate may be renewed on disk while it is used, and which may be led elsewhere. */
import * as z from 'zod';
import { kubeClient, type KubeClient, type KubeCredentials } from '../cluster/kube-client.ts';
import { readKubeconfig, readUserKubeconfig } from '../cluster/kubeconfigs.ts';
import { abortError, linkedAbort } from '../kernel/abort.ts';
import { systemClock } from '../kernel/clock.ts';

/** Each request by the client that is right then. */
export const apiOf = ({ connect }: RenewedClient): Pick<KubeClient, 'get' | 'create' | 'apply' | 'watch'> => ({
  get: async (where, end) => (await connect()).get(where, end),
  create: async (where, body, end) => (await connect()).create(where, body, end),
  apply: async (where, body, end) => (await connect()).apply(where, body, end),
  async *watch(where, query, end) {
    yield* (await connect()).watch(where, query, end);
  },
});

export interface RenewedClient extends Disposable {
  /** A client with what the kubeconfig's files say now; the same one as long as that is the same. */
  connect(): Promise<KubeClient>;
  /** Another API server of the cluster from now on; undefined: the one that the kubeconfig names. What is under way ends, and says so by {@link anotherIsAsked}. */
  redirect(url: string | undefined): void;
}

/** What a thread that has such a client is told of it. */
export const redirection = z.object({ type: z.literal('redirect'), url: z.url().optional() });
export type Redirection = z.infer<typeof redirection>;

/** A request that ends so may have been done: nobody waited for its answer. */
export const anotherIsAsked = 'another API server is asked';

/** How often the files are read again: certificates are renewed weeks before their end. */
const rereadMs = 60_000;

export function renewedClient(kubeconfig: string): RenewedClient {
  let client: KubeClient | undefined;
  let digest = '';
  let readAtMs = -Infinity;
  let elsewhere: string | undefined;
  let here = linkedAbort();
  return {
    async connect() {
      if (client !== undefined && systemClock.monotonicMs() - readAtMs < rereadMs) return client;
      const credentials = await credentialsOf(kubeconfig);
      readAtMs = systemClock.monotonicMs();
      const url = elsewhere ?? credentials.url;
      const next = JSON.stringify([url, String(credentials.ca), String(credentials.cert), String(credentials.key)]);
      if (client === undefined || next !== digest) {
        // With other certificates alone, what is under way with the one before ends by itself.
        client = endedBy(here.signal, kubeClient({ ...credentials, url }, systemClock));
        digest = next;
      }
      return client;
    },
    redirect(url) {
      if (url === elsewhere) return;
      elsewhere = url;
      readAtMs = -Infinity;
      // Also when it is asked again before anybody has connected: the client of before has been ended.
      digest = '';
      here.abort(new Error(anotherIsAsked));
      here = linkedAbort();
    },
    [Symbol.dispose]: () => client?.[Symbol.dispose](),
  };
}

/** A watch goes on for ever by itself, and a request for as long as its limit, also where nobody answers any more. */
function endedBy(end: AbortSignal, client: KubeClient): KubeClient {
  const within = async <T>(signal: AbortSignal, ask: (either: AbortSignal) => Promise<T>): Promise<T> => {
    using either = linkedAbort(signal, end);
    try {
      return await ask(either.signal);
    } catch (error) {
      // Whatever the connection says that was broken off.
      throw either.signal.aborted ? abortError(either.signal) : error;
    }
  };
  return {
    get: (where, signal) => within(signal, (either) => client.get(where, either)),
    create: (where, body, signal) => within(signal, (either) => client.create(where, body, either)),
    replace: (where, body, signal) => within(signal, (either) => client.replace(where, body, either)),
    apply: (where, body, signal) => within(signal, (either) => client.apply(where, body, either)),
    delete: (where, signal) => within(signal, (either) => client.delete(where, either)),
    async *watch(where, query, signal) {
      using either = linkedAbort(signal, end);
      yield* client.watch(where, query, either.signal);
    },
    [Symbol.dispose]: () => client[Symbol.dispose](),
  };
}

/** A component's, which names files, or a person's, which has everything in it. */
async function credentialsOf(file: string): Promise<KubeCredentials> {
  try {
    return await readKubeconfig(file);
  } catch {
    return readUserKubeconfig(file);
  }
}
