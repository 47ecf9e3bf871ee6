/** Where an object lives in the API: the server is asked once for each group what its kinds are called. */
import * as z from 'zod';
import { nearestName } from '../../kernel/nearest.ts';
import { unlessMissing, type KubeClient } from '../kube-client.ts';
import type { ObjectRef } from './parse-manifest.ts';

/** Source: Kubernetes `metav1.APIResourceList`. */
const resourcesSchema = z.object({
  resources: z.array(z.object({ name: z.string(), kind: z.string(), namespaced: z.boolean() })),
});

interface Resource {
  readonly name: string;
  readonly namespaced: boolean;
}

/** The server does not know the kind. It may come, when its CustomResourceDefinition does. */
export class UnknownKindError extends Error {
  override readonly name = 'UnknownKindError';
}

export interface ApiPaths {
  /** @throws UnknownKindError; KubeApiError or the connection's error when the server cannot be asked */
  pathOf(ref: ObjectRef, signal: AbortSignal): Promise<string>;
}

export function apiPaths(client: Pick<KubeClient, 'get'>): ApiPaths {
  const groups = new Map<string, ReadonlyMap<string, Resource>>();
  const ask = async (apiVersion: string, signal: AbortSignal) => {
    const answer = await unlessMissing(client.get(rootOf(apiVersion), signal));
    if (answer === undefined) return new Map<string, Resource>();
    const { resources } = resourcesSchema.parse(answer);
    // "pods/status" is a part of one, not a kind of its own.
    return new Map(resources.filter(({ name }) => !name.includes('/')).map((each) => [each.kind, each]));
  };
  return {
    async pathOf({ apiVersion, kind, namespace, name }, signal) {
      let kinds = groups.get(apiVersion);
      if (kinds?.has(kind) !== true) {
        kinds = await ask(apiVersion, signal);
        groups.set(apiVersion, kinds);
      }
      const resource = kinds.get(kind);
      if (resource === undefined) throw unknownKind(apiVersion, kind, kinds);
      const place = resource.namespaced ? `/namespaces/${encodeURIComponent(namespace ?? 'default')}` : '';
      return `${rootOf(apiVersion)}${place}/${resource.name}/${encodeURIComponent(name)}`;
    },
  };
}

const rootOf = (apiVersion: string): string => {
  const words = apiVersion.split('/').map(encodeURIComponent).join('/');
  return apiVersion.includes('/') ? `/apis/${words}` : `/api/${words}`;
};

function unknownKind(apiVersion: string, kind: string, kinds: ReadonlyMap<string, Resource>): UnknownKindError {
  if (kinds.size === 0) {
    return new UnknownKindError(
      `the API server does not know ${apiVersion}: is its CustomResourceDefinition missing, or the version another?`,
    );
  }
  const nearest = nearestName(kind, [...kinds.keys()]);
  const remedy = nearest === undefined ? '' : `; did you mean "${nearest}"?`;
  return new UnknownKindError(`the API server knows no ${kind} in ${apiVersion}${remedy}`);
}
