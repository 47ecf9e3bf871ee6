/**
 * http and https: a GET is answered as expected.
 *
 * Each attempt makes a connection of its own, with one exception: a server that answered "not yet"
 * is asked again on the same connection for up to a second. A handshake costs both sides more than
 * the question, and the server that is being asked is the one that is busy starting.
 */
import type { Socket } from 'node:net';
import { addressOfUrl, connectionFailure, connectTo, openConnection, paceOf } from './connection.ts';
import type { HttpAnswer } from './http-answer.ts';
import { askHttp, type HttpQuestion } from './http-exchange.ts';
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

/** Attempts of a start come sooner. */
const keptForMs = 1_000;

export function httpProbe(options: HttpProbeOptions): Probe {
  const { url } = options;
  const address = addressOfUrl(url);
  const pace = paceOf(address, url.protocol === 'https:');
  const scheme = url.protocol.slice(0, -1);
  const label = url.pathname === '/' ? `${scheme} ${url.host}` : `${scheme} ${url.pathname}`;
  // A TLS server complains in its log of a connection that is closed at once.
  const watch = pace === undefined || url.protocol === 'https:' ? undefined : options.listening;
  const { onHint, isWatched } = listenHint(address, watch, options.owner);
  const watched = { owner: options.owner, isWatched };
  const question: HttpQuestion = {
    path: requestPath(url, options.exclude),
    headers: withHost(url.host, options.headers),
    wantsBody: (status) => options.body !== undefined || !passesStatus(status, options),
  };
  let kept: Socket | undefined;

  const open = async (signal: AbortSignal): Promise<Socket> => {
    // While it is being made the request is already written.
    if (url.protocol === 'http:') return connectTo(address);
    const socket = await openConnection(address, signal, watched);
    return secureConnection(socket, { host: address.host, files: options.tls ?? {}, protocol: 'http/1.1' }, signal);
  };

  const take = (): Socket | undefined => {
    const socket = kept;
    kept = undefined;
    return socket?.writable === true ? socket.setTimeout(0).ref() : undefined;
  };

  /** For a second, and not so that it keeps the process from ending. */
  const keep = (socket: Socket): void => {
    kept = socket.setTimeout(keptForMs).unref();
  };

  return {
    describe: () => label,
    ...(pace === undefined ? {} : { pace }),
    onHint,
    async check(signal) {
      const socket = take() ?? guarded(await open(signal));
      let isReusable = false;
      try {
        const answer = await askHttp(socket, question, signal);
        // Before the answer counts, and so at the first one, not at the one that ends the waiting.
        options.owner?.verify(address, socket);
        isReusable = answer.reusable;
        judge(answer, options);
        isReusable = false;
      } catch (error) {
        throw signal.aborted ? error : connectionFailure(error as Error, address, watched);
      } finally {
        if (isReusable) keep(socket);
        else socket.destroy();
      }
    },
  };
}

/**
 * What still happens to a connection that nobody asks anything ends it; its end it follows by itself. While it is
 * asked it must not be destroyed by that: whose it is (`OwnerCheck`) is read of a whole one.
 */
function guarded(socket: Socket): Socket {
  const end = () => socket.destroy();
  return socket.on('error', end).on('timeout', end);
}

/** Its own `Host`, if the unit gives one (RFC 9112, 3.2: exactly one). */
function withHost(host: string, headers: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  return Object.keys(headers).some((name) => name.toLowerCase() === 'host') ? headers : { Host: host, ...headers };
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

function passesStatus(status: number, { status: wanted }: HttpProbeOptions): boolean {
  return wanted === undefined ? status >= 200 && status < 300 : status === wanted;
}

/** @throws {@link ProbeFailure} "500 [-]etcd failed: reason withheld", "200, but the body does not match /ok/" */
function judge({ status, body }: HttpAnswer, options: HttpProbeOptions): void {
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
