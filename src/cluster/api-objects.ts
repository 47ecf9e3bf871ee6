/** Objects of the API that one of our builtins wants there. */
import type { KubeClient } from './kube-client.ts';

export interface ApiObject {
  /** Of the object itself, not of its collection. */
  readonly path: string;
  readonly body: object;
}

export type Connect = () => Promise<KubeClient>;

/** Makes or updates them, all at the same time. */
export async function applyObjects(
  connect: Connect,
  objects: readonly ApiObject[],
  signal: AbortSignal,
): Promise<void> {
  using client = await connect();
  await Promise.all(objects.map(({ path, body }) => client.apply(path, body, signal)));
}
