/**
 * http and https: a GET is answered as expected.
 *
 * Each attempt makes a connection of its own, with one exception: a server that answered "not yet"
 * is asked again on the same connection for up to a second. A handshake costs both sides more than
 * the question, and the server that is being asked is the one that is busy starting.
 */
import type { Agent, ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { abortError, onAbort } from '../kernel/abort.ts';
import { http } from '../kernel/lazily.ts';
import { addressOfUrl, connectionFailure, connectTo, openConnection, paceOf } from './connection.ts';
import { asksKubernetes, failedChecks } from './kubernetes-checks.ts';
import { listenHint } from './listen-hint.ts';
import type { ListenWatch } from './listen-watch.ts';
import { oneLine } from './outcome.ts';
import { ProbeFailure, type Probe } from './probe.ts';
import type { OwnerCheck } from './socket-owner.ts';
import { secureConnection, type TlsFiles } from './tls.ts';

export interface HttpProbeOptions {
  readonly url: URL;
  /** The one status that passes; absent: any 2xx. */
  readonly status?: number | undefined;
  /** What the body must match, of which the first 64 KiB are read. */
  readonly body?: RegExp | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Kubernetes checks that do not count. */
  readonly exclude?: readonly string[] | undefined;
  /** Only for https. */
  readonly tls?: TlsFiles | undefined;
  readonly owner?: OwnerCheck | undefined;
  readonly listening?: ListenWatch | undefined;
}

/** Node.js keeps an idle connection for as long; attempts of a start come sooner. */
const keptForMs = 1_000;
const maxBody = 64 * 1024;

export function httpProbe(options: HttpProbeOptions): Probe {
  const { url } = options;
  const address = addressOfUrl(url);
  const pace = paceOf(address, url.protocol === 'https:');
  const scheme = url.protocol.slice(0, -1);
  const path = requestPath(url, options.exclude);
  const label = url.pathname === '/' ? `${scheme} ${url.host}` : `${scheme} ${url.pathname}`;
  // A TLS server complains in its log of a connection that is closed at once.
  const watch = pace === undefined || url.protocol === 'https:' ? undefined : options.listening;
  const { onHint, isWatched } = listenHint(address, watch, options.owner);
  let agent: Agent | undefined;

  const watched = { owner: options.owner, isWatched };
  const failureOf = (error: Error) => connectionFailure(error, address, watched);

  const openSecure = async (signal: AbortSignal): Promise<Socket> => {
    const socket = await openConnection(address, signal, watched);
    return secureConnection(socket, { host: address.host, files: options.tls ?? {}, protocol: 'http/1.1' }, signal);
  };

  return {
    describe: () => label,
    ...(pace === undefined ? {} : { pace }),
    onHint,
    async check(signal) {
      // Loaded at the first attempt, while the process that is asked is starting anyway.
      const { Agent, request } = http();
      agent ??= new Agent({ keepAlive: true, maxSockets: 1, timeout: keptForMs });
      const current = agent;
      current.createConnection = (_options, callback) => {
        // While it is being made the request is already written.
        if (url.protocol === 'http:') return connectTo(address);
        openSecure(signal).then(
          (socket) => callback?.(null, socket),
          (error: unknown) => callback?.(error as Error, undefined as unknown as Duplex),
        );
        return undefined;
      };
      let keep = false;
      try {
        const answer = await exchange(
          request({ agent: current, path, headers: { host: url.host, ...options.headers } }),
          { options, failureOf, signal },
        );
        // Before the answer counts, and so at the first one, not at the one that ends the waiting.
        if (answer.socket !== null) options.owner?.verify(address, answer.socket);
        keep = answer.drained;
        judge(answer, options);
        keep = false;
      } finally {
        if (!keep) {
          current.destroy();
          agent = undefined;
        }
      }
    },
  };
}

/** `/readyz`, `/livez` and `/healthz` are asked for each of their checks, so that the failed ones can be named. */
function requestPath(url: URL, exclude: readonly string[] | undefined): string {
  if (!asksKubernetes(url.pathname)) return `${url.pathname}${url.search}`;
  const query = new URLSearchParams(url.search);
  if (!query.has('verbose')) query.append('verbose', '');
  for (const name of exclude ?? []) query.append('exclude', name);
  return `${url.pathname}?${query
    .toString()
    .replace('verbose=&', 'verbose&')
    .replace(/verbose=$/, 'verbose')}`;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  /** Read to its end: the connection can be used again. */
  readonly drained: boolean;
  readonly socket: Socket | null;
}

interface Exchange {
  readonly options: HttpProbeOptions;
  readonly failureOf: (error: Error) => ProbeFailure;
  readonly signal: AbortSignal;
}

function exchange(request: ClientRequest, { options, failureOf, signal }: Exchange): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const abort = onAbort(signal, () => {
      request.destroy();
      reject(abortError(signal));
    });
    const fail = (error: Error) => {
      abort[Symbol.dispose]();
      reject(signal.aborted ? error : failureOf(error));
    };
    request.on('error', fail);
    request.on('response', (response) => {
      const status = response.statusCode ?? 0;
      // Taken now: at the end of the answer the agent has taken the connection back.
      const socket = response.socket as Socket | null;
      const finish = (body: string, drained: boolean) => {
        abort[Symbol.dispose]();
        resolve({ status, body, drained, socket });
      };
      if (passesStatus(status, options) && options.body === undefined) {
        finish('', false);
        return;
      }
      readBody(response, finish, fail);
    });
    request.end();
  });
}

function readBody(
  response: IncomingMessage,
  finish: (body: string, drained: boolean) => void,
  fail: (error: Error) => void,
): void {
  let body = '';
  response.setEncoding('utf8');
  response.on('data', (chunk: string) => {
    body += chunk;
    if (body.length >= maxBody) finish(body.slice(0, maxBody), false);
  });
  response.on('end', () => {
    finish(body, true);
  });
  response.on('error', fail);
}

function passesStatus(status: number, { status: wanted }: HttpProbeOptions): boolean {
  return wanted === undefined ? status >= 200 && status < 300 : status === wanted;
}

/** @throws {@link ProbeFailure} "500 [-]etcd failed: reason withheld", "200, but the body does not match /ok/" */
function judge({ status, body }: Answer, options: HttpProbeOptions): void {
  if (!passesStatus(status, options)) {
    const said = failedChecks(body) ?? oneLine(body).slice(0, 80);
    const hint =
      status === 401 || status === 403 ? 'the check needs other credentials: see its `cert` and `key`' : undefined;
    throw new ProbeFailure(said === '' ? String(status) : `${String(status)} ${said}`, { hint });
  }
  if (options.body !== undefined && !options.body.test(body)) {
    throw new ProbeFailure(`${String(status)}, but the body does not match ${String(options.body)}`);
  }
}
