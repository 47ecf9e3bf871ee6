/** A client of the API whose certificate may be renewed on disk while it is used. */
import { kubeClient, type KubeClient, type KubeCredentials } from '../cluster/kube-client.ts';
import { readKubeconfig, readUserKubeconfig } from '../cluster/kubeconfigs.ts';
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
}

/** How often the files are read again: certificates are renewed weeks before their end. */
const rereadMs = 60_000;

export function renewedClient(kubeconfig: string): RenewedClient {
  let client: KubeClient | undefined;
  let digest = '';
  let readAtMs = -Infinity;
  return {
    async connect() {
      if (client !== undefined && systemClock.monotonicMs() - readAtMs < rereadMs) return client;
      const credentials = await credentialsOf(kubeconfig);
      readAtMs = systemClock.monotonicMs();
      const next = JSON.stringify([
        credentials.url,
        String(credentials.ca),
        String(credentials.cert),
        String(credentials.key),
      ]);
      if (client === undefined || next !== digest) {
        // What is under way with the one before ends by itself.
        client = kubeClient(credentials, systemClock);
        digest = next;
      }
      return client;
    },
    [Symbol.dispose]: () => client?.[Symbol.dispose](),
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
