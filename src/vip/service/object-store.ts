/**
 * The objects of one collection of the API, kept by a watch. A watch does not tell what was deleted
 * while it was broken, and not when its first list is at its end: a list before it and one every now
 * and then do.
 */
import * as z from 'zod';
import type { VipKube } from '../vip-kube.ts';

export type ServiceApi = Omit<VipKube, 'replace'>;

/** What was deleted while a watch was broken is seen by then; */
export const relistMs = 60_000;
/** and by then what was deleted between the first list and the beginning of the watch. */
export const firstRelistMs = 1000;

const list = z.object({ items: z.array(z.unknown()).nullish() });

interface Named {
  readonly metadata: { readonly namespace: string; readonly name: string; readonly uid: string };
}

export class ObjectStore<T extends Named> {
  readonly #path: string;
  readonly #schema: z.ZodType<T>;
  readonly #onMistake: (message: string) => void;
  readonly #objects = new Map<string, T>();

  /** @param onMistake an object is not as it should be; it is as if it were not there */
  constructor(path: string, schema: z.ZodType<T>, onMistake: (message: string) => void) {
    this.#path = path;
    this.#schema = schema;
    this.#onMistake = onMistake;
  }

  get all(): readonly T[] {
    return [...this.#objects.values()];
  }

  /** Takes what is new, and drops what has gone; what the watch told meanwhile is newer and stays. */
  async list(api: ServiceApi, signal: AbortSignal): Promise<void> {
    const before = new Map(this.#objects);
    const { items } = list.parse(await api.get(this.#path, signal));
    const listed = new Set<string>();
    for (const item of items ?? []) {
      const object = this.#parse(item);
      if (object === undefined) continue;
      const key = keyOf(object);
      listed.add(key);
      if (this.#objects.get(key) === before.get(key)) this.#objects.set(key, object);
    }
    for (const [key, object] of before) {
      if (!listed.has(key) && this.#objects.get(key) === object) this.#objects.delete(key);
    }
  }

  /** Until `signal` aborts, or the API refuses. */
  async watch(api: ServiceApi, onChange: () => void, signal: AbortSignal): Promise<void> {
    for await (const { type, object } of api.watch(this.#path, {}, signal)) {
      const parsed = this.#parse(object);
      if (parsed === undefined) continue;
      if (type === 'DELETED') this.#objects.delete(keyOf(parsed));
      else this.#objects.set(keyOf(parsed), parsed);
      onChange();
    }
  }

  #parse(object: unknown): T | undefined {
    const parsed = this.#schema.safeParse(object);
    if (parsed.success) return parsed.data;
    this.#onMistake(`${this.#path}: ${z.prettifyError(parsed.error)}`);
    return undefined;
  }
}

const keyOf = ({ metadata: { namespace, name } }: Named): string => `${namespace}/${name}`;
