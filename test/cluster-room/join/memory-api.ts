/** A Kubernetes API in memory: it keeps objects by path, and refuses as the real one does. */
import { KubeApiError, type KubeClient } from '../../../src/cluster/kube-client.ts';

export interface MemoryApi {
  readonly objects: Map<string, object>;
  readonly client: KubeClient;
}

const encoded = (data: Readonly<Record<string, string>> = {}) =>
  Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]));

export function memoryApi(wallMs: () => number = Date.now): MemoryApi {
  const objects = new Map<string, object>();
  const none = () => Promise.reject(new Error('not asked for here'));
  return {
    objects,
    client: {
      get(path) {
        const found = objects.get(path);
        return found === undefined
          ? Promise.reject(new KubeApiError(`GET ${path}`, 404, 'NotFound', 'not found'))
          : Promise.resolve(found);
      },
      create(path, body) {
        const { metadata, stringData } = body as { metadata: { name: string }; stringData?: Record<string, string> };
        const own = `${path}/${metadata.name}`;
        if (objects.has(own)) return Promise.reject(new KubeApiError(`POST ${path}`, 409, 'AlreadyExists', 'exists'));
        const creationTimestamp = new Date(wallMs()).toISOString();
        objects.set(own, { ...body, metadata: { ...metadata, creationTimestamp }, data: encoded(stringData) });
        return Promise.resolve(objects.get(own));
      },
      delete(path) {
        objects.delete(path);
        return Promise.resolve();
      },
      replace: () => Promise.reject(new Error('not here')),
      apply: none,
      watch: () => {
        throw new Error('not asked for here');
      },
      [Symbol.dispose]: () => undefined,
    },
  };
}
