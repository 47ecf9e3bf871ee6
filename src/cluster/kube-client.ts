/**
 * A small client of the Kubernetes API on node:https: requests with kept-alive connections, and
 * watches that list first and go on by themselves after a break. Answers are parsed with zod by
 * whoever reads them.
 *
 * Not here: discovery, caches, retries of requests (a builtin that fails is run again by its unit).
 */
import type { Agent, RequestOptions } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { onAbort, abortError } from '../kernel/abort.ts';
import { sleep, type Clock } from '../kernel/clock.ts';
import { parseJson } from '../kernel/json.ts';
import { lines } from './line-stream.ts';

/** What the API said no with. Source: Kubernetes `metav1.Status`. */
export class KubeApiError extends Error {
  override readonly name = 'KubeApiError';
  readonly status: number;
  /** "NotFound", "AlreadyExists", "Conflict", "Forbidden"…; empty when the answer was no Status. */
  readonly reason: string;
  /** When the server wishes to be asked again; undefined: it says nothing of it. */
  readonly retryAfterMs: number | undefined;

  constructor(what: string, status: number, reason: string, message: string, retryAfterMs?: number) {
    super(`${what}: ${String(status)} ${message}`);
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The API has refused a write, because what it was over is not what is there any more. */
export const isConflict = (error: unknown): error is KubeApiError =>
  error instanceof KubeApiError && error.status === 409;

/** What the API answers, or undefined when it says that there is no such thing. */
export async function unlessMissing(answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof KubeApiError && error.status === 404) return undefined;
    throw error;
  }
}

export interface KubeCredentials {
  readonly url: string;
  readonly ca: string | Buffer;
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
}

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: unknown;
}

export interface KubeClient extends Disposable {
  get(path: string, signal: AbortSignal): Promise<unknown>;
  create(path: string, body: object, signal: AbortSignal): Promise<unknown>;
  /** Writes the whole object, if it is still of the version that `body` names. */
  replace(path: string, body: object, signal: AbortSignal): Promise<unknown>;
  /** Server-side apply: makes or updates the object so that it says what `body` says. A field that its kind does not have is refused. */
  apply(path: string, body: object, signal: AbortSignal): Promise<unknown>;
  /** Deletes; a missing object is fine. */
  delete(path: string, signal: AbortSignal): Promise<void>;
  /**
   * Yields every object of a collection as ADDED, then each change. Lists again after the server
   * ended the watch or forgot the version, and after a broken connection.
   */
  watch(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): AsyncIterable<WatchEvent>;
}

const status = z.object({ reason: z.string().default(''), message: z.string().default('') });
const list = z.object({
  metadata: z.object({ resourceVersion: z.string() }),
  items: z.array(z.unknown()).nullish(),
});
const event = z.object({ type: z.string(), object: z.unknown() });
const bookmark = z.object({ metadata: z.object({ resourceVersion: z.string() }) });

/** Time between the end of a watch and the next one. */
const rewatchMs = 250;

export async function readCredentials(url: string, tls: string, name: string): Promise<KubeCredentials> {
  const [ca, cert, key] = await Promise.all(
    [`${tls}/server-ca.crt`, `${tls}/${name}.crt`, `${tls}/${name}.key`].map((file) => readFile(file)),
  );
  if (ca === undefined || cert === undefined || key === undefined) throw new Error('internal error: three files read');
  return { url, ca, cert, key };
}

export function kubeClient({ url, ca, cert, key }: KubeCredentials, clock: Clock): KubeClient {
  let agent: Agent | undefined;

  const open = async (options: RequestOptions & { path: string }, body: string | undefined, signal: AbortSignal) => {
    // Loaded at the first request: no unit waits for it before that.
    const https = await import('node:https');
    agent ??= new https.Agent({ keepAlive: true, ca, cert, key });
    const { request } = https;
    return new Promise<IncomingMessage>((resolve, reject) => {
      if (signal.aborted) {
        reject(abortError(signal));
        return;
      }
      const outgoing = request(new URL(options.path, url), { ...options, agent });
      const cancel = onAbort(signal, () => outgoing.destroy(abortError(signal)));
      outgoing.once('response', (response) => {
        response.once('close', () => {
          cancel[Symbol.dispose]();
        });
        resolve(response);
      });
      outgoing.once('error', (error) => {
        cancel[Symbol.dispose]();
        reject(error);
      });
      outgoing.end(body);
    });
  };

  const call = async (method: string, path: string, signal: AbortSignal, content?: { type: string; body: object }) => {
    const response = await open(
      {
        method,
        path,
        headers: { accept: 'application/json', ...(content === undefined ? {} : { 'content-type': content.type }) },
      },
      content === undefined ? undefined : JSON.stringify(content.body),
      signal,
    );
    const text = await textOf(response);
    const code = response.statusCode ?? 0;
    if (code >= 200 && code < 300) return JSON.parse(text) as unknown;
    throw apiError(`${method} ${path.split('?')[0] ?? path}`, code, text, secondsOf(response.headers['retry-after']));
  };

  async function* watch(
    path: string,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent, void, undefined> {
    for (;;) {
      try {
        const first = list.parse(await call('GET', `${path}?${search(query)}`, signal));
        for (const object of first.items ?? []) yield { type: 'ADDED', object };
        yield* changes(path, query, first.metadata.resourceVersion, signal);
      } catch (error) {
        if (signal.aborted) throw abortError(signal);
        // A refusal does not go away by asking again; a broken connection or a restarting server does.
        if (error instanceof KubeApiError && error.status < 500 && error.status !== 410) throw error;
        await sleep(clock, rewatchMs, signal);
      }
    }
  }

  async function* changes(
    path: string,
    query: Readonly<Record<string, string>>,
    fromVersion: string,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent, void, undefined> {
    let resourceVersion = fromVersion;
    for (;;) {
      const full = `${path}?${search({ ...query, watch: 'true', allowWatchBookmarks: 'true', resourceVersion })}`;
      const response = await open(
        { method: 'GET', path: full, headers: { accept: 'application/json' } },
        undefined,
        signal,
      );
      try {
        if (response.statusCode !== 200)
          throw apiError(`WATCH ${path}`, response.statusCode ?? 0, await textOf(response));
        for await (const line of lines(response)) {
          const { type, object } = event.parse(JSON.parse(line));
          if (type === 'ERROR') throw apiError(`WATCH ${path}`, 410, JSON.stringify(object));
          resourceVersion = bookmark.parse(object).metadata.resourceVersion;
          if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED') yield { type, object };
        }
      } finally {
        response.destroy();
      }
      // Servers end a watch after some minutes; one that ends each at once must not be asked in a tight loop.
      await sleep(clock, rewatchMs, signal);
    }
  }

  return {
    get: (path, signal) => call('GET', path, signal),
    create: (path, body, signal) => call('POST', path, signal, { type: 'application/json', body }),
    replace: (path, body, signal) => call('PUT', path, signal, { type: 'application/json', body }),
    apply: (path, body, signal) =>
      call('PATCH', `${path}?fieldManager=k3s-lite&force=true&fieldValidation=Strict`, signal, {
        type: 'application/apply-patch+yaml',
        body,
      }),
    async delete(path, signal) {
      await unlessMissing(call('DELETE', path, signal));
    },
    watch,
    [Symbol.dispose]: () => {
      agent?.destroy();
    },
  };
}

const search = (query: Readonly<Record<string, string>>): string => new URLSearchParams(query).toString();

function apiError(what: string, code: number, text: string, retryAfterMs?: number): KubeApiError {
  const parsed = status.safeParse(parseJson(text));
  return parsed.success && parsed.data.message !== ''
    ? new KubeApiError(what, code, parsed.data.reason, parsed.data.message, retryAfterMs)
    : new KubeApiError(what, code, '', text.slice(0, 200), retryAfterMs);
}

/** A Retry-After in seconds, as milliseconds; the API server sends no dates. */
function secondsOf(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1000 : undefined;
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
