/** What this room needs of the API of Kubernetes; app/ fills it with `KubeClient` of the cluster room. */

export interface KubeWatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: unknown;
}

export interface VipKube {
  get(path: string, signal: AbortSignal): Promise<unknown>;
  create(path: string, body: object, signal: AbortSignal): Promise<unknown>;
  /** Writes the whole object, if it is still of the version that `body` names. */
  replace(path: string, body: object, signal: AbortSignal): Promise<unknown>;
  /** Server-side apply. */
  apply(path: string, body: object, signal: AbortSignal): Promise<unknown>;
  watch(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): AsyncIterable<KubeWatchEvent>;
}
