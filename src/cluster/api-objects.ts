/** Objects of the API that one of our builtins wants there, or looks for. */
import * as z from 'zod';
import type { KubeClient } from './kube-client.ts';

export interface ApiObject {
  /** Of the object itself, not of its collection. */
  readonly path: string;
  readonly body: object;
}

export type Connect = () => Promise<KubeClient>;

/** Makes or updates them, all at the same time. */
export async function applyObjects(
  client: KubeClient,
  objects: readonly ApiObject[],
  signal: AbortSignal,
): Promise<void> {
  await Promise.all(objects.map(({ path, body }) => client.apply(path, body, signal)));
}

const list = z.object({ items: z.array(z.unknown()).nullish() });

/** What a list of the API holds. @throws ZodError when it is none */
export const itemsOf = (answer: unknown): readonly unknown[] => list.parse(answer).items ?? [];

/** Objects of one kind that bear a label. */
export interface Labelled<T> {
  /** Of the collection. */
  readonly path: string;
  /** As `labelSelector` takes it. */
  readonly selector: string;
  readonly item: z.ZodType<T>;
}

/** @param onUnreadable told of each that is not as it should be; it is as if it were not there */
export async function readLabelled<T>(
  client: Pick<KubeClient, 'get'>,
  { path, selector, item }: Labelled<T>,
  signal: AbortSignal,
  onUnreadable?: (error: z.ZodError) => void,
): Promise<T[]> {
  const answer = await client.get(`${path}?labelSelector=${encodeURIComponent(selector)}`, signal);
  return itemsOf(answer).flatMap((each) => {
    const parsed = item.safeParse(each);
    if (parsed.success) return [parsed.data];
    onUnreadable?.(parsed.error);
    return [];
  });
}
