/**
 * Makes and deletes the objects of manifests. An annotation on an object says that we have made it,
 * and for which file: one that was there before is changed as its file says, but never deleted.
 */
import * as z from 'zod';
import { backoffDelayMs } from '../../kernel/backoff.ts';
import { sleep, type Clock } from '../../kernel/clock.ts';
import { unlessMissing, type KubeClient } from '../kube-client.ts';
import { apiPaths, UnknownKindError } from './api-paths.ts';
import { nameOf, type ManifestObject, type ObjectRef } from './parse-manifest.ts';

export const madeForAnnotation = 'k3s-lite.io/manifest';

const existingSchema = z.looseObject({
  metadata: z.looseObject({ annotations: z.record(z.string(), z.string()).default({}) }),
  status: z
    .looseObject({ conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).default([]) })
    .optional(),
});
type Existing = z.output<typeof existingSchema>;

/** Time for a new kind to be served, in milliseconds. Measured: 0.1 s. */
const kindWithinMs = 10_000;
const kindPace = { firstMs: 30, factor: 1.5, maxMs: 500, jitter: 0.2 };

export interface ManifestObjects {
  /**
   * Makes or changes an object as its file says; of a CustomResourceDefinition returns when its kind is served.
   *
   * @returns whether it is ours to delete
   */
  apply(file: string, object: ManifestObject, signal: AbortSignal): Promise<boolean>;
  /** Deletes what we made for `file`. @returns false when there is nothing of that kind */
  deleteMade(file: string, ref: ObjectRef, signal: AbortSignal): Promise<boolean>;
}

export function manifestObjects(client: KubeClient, clock: Clock): ManifestObjects {
  const paths = apiPaths(client);
  let hasNewKinds = false;

  const find = async (path: string, signal: AbortSignal): Promise<Existing | undefined> => {
    const found = await unlessMissing(client.get(path, signal));
    return found === undefined ? undefined : existingSchema.parse(found);
  };
  /** Asks again until `look` finds something; undefined when time is over. */
  const within = async <T>(look: () => Promise<T | undefined>, signal: AbortSignal): Promise<T | undefined> => {
    const endMs = clock.monotonicMs() + kindWithinMs;
    for (let attempt = 1; ; attempt += 1) {
      const found = await look();
      if (found !== undefined || clock.monotonicMs() >= endMs) return found;
      await sleep(clock, backoffDelayMs(kindPace, attempt, Math.random), signal);
    }
  };
  const pathOf = async (ref: ObjectRef, signal: AbortSignal): Promise<string> => {
    const known = () =>
      paths.pathOf(ref, signal).catch((error: unknown) => {
        if (error instanceof UnknownKindError) return undefined;
        throw error;
      });
    // A definition is established a moment before its kind is told of.
    const path = hasNewKinds ? await within(known, signal) : await known();
    return path ?? paths.pathOf(ref, signal);
  };

  return {
    async apply(file, { ref, body }, signal) {
      const path = await pathOf(ref, signal);
      const before = await find(path, signal);
      const isOurs = before === undefined || before.metadata.annotations[madeForAnnotation] !== undefined;
      await client.apply(path, isOurs ? marked(body, file) : body, signal);
      if (isDefinition(ref)) {
        const isServed = async () =>
          (await find(path, signal))?.status?.conditions.some(isEstablished) ? true : undefined;
        if ((await within(isServed, signal)) === undefined) {
          throw new Error(`${nameOf(ref)} is not served ${String(kindWithinMs / 1000)} s after it was made`);
        }
        hasNewKinds = true;
      }
      return isOurs;
    },
    async deleteMade(file, ref, signal) {
      let path: string;
      try {
        path = await paths.pathOf(ref, signal);
      } catch (error) {
        // Its definition is gone, and with it every object of the kind.
        if (error instanceof UnknownKindError) return false;
        throw error;
      }
      const found = await find(path, signal);
      if (found?.metadata.annotations[madeForAnnotation] !== file) return false;
      // What belongs to it (the pods of a Deployment) goes after it.
      await client.delete(`${path}?propagationPolicy=Background`, signal);
      return true;
    },
  };
}

const isDefinition = ({ apiVersion, kind }: ObjectRef): boolean =>
  kind === 'CustomResourceDefinition' && apiVersion.startsWith('apiextensions.k8s.io/');

const isEstablished = ({ type, status }: { readonly type: string; readonly status: string }): boolean =>
  type === 'Established' && status === 'True';

/** What others need comes first: namespaces, then kinds, then the rest in the order of the files. */
export function rankOf(ref: ObjectRef): number {
  if (ref.kind === 'Namespace' && ref.apiVersion === 'v1') return 0;
  return isDefinition(ref) ? 1 : 2;
}

function marked(body: ManifestObject['body'], file: string): object {
  const annotations = z.record(z.string(), z.unknown()).catch({}).parse(body.metadata['annotations']);
  return { ...body, metadata: { ...body.metadata, annotations: { ...annotations, [madeForAnnotation]: file } } };
}
