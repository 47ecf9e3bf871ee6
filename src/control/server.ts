/**
 * The control API: HTTP on a unix socket that only this user can reach.
 *
 * It reads snapshots, events and logs, and passes requests on; it never touches a unit by itself.
 * `Host` and `Origin` are not looked at: a browser cannot reach a unix socket, so there is nothing
 * to forge across sites. No timer runs while nobody asks.
 */
import { rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { errorToJson, StartupError } from '../error/startup-error.ts';
import { systemClock, type Clock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/message-of.ts';
import { jsonBody } from './json-body.ts';
import { matchRoute, statusOf, type Reply } from './routes.ts';
import { listenPrivately } from './socket-file.ts';
import type { ControlSource } from './source.ts';

export interface ControlServerOptions {
  readonly socketPath: string;
  readonly source: ControlSource;
  /** The clock of the snapshots (default: the system's). */
  readonly clock?: Clock;
}

export interface ControlServer extends AsyncDisposable {
  readonly socketPath: string;
  /** Tells followers what is pending, ends all connections and removes the socket. Idempotent. */
  close(): Promise<void>;
}

/** Bytes of a request's body; the longest is a list of unit names. */
const maxBodyBytes = 64 * 1024;
/** Connections at once: a forgotten `logs -f` each holds one. Each is an open file of ours, and units need theirs. */
const maxConnections = 2048;
/** How long a follower may take to read the last lines when the server closes, in milliseconds. */
const closeGraceMs = 500;

/** @throws StartupError ERR_CONTROL if the socket cannot be made safely or another k3s-lite answers on it */
export async function createControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const { socketPath, source, clock = systemClock } = options;
  const following = new Map<ServerResponse, Disposable>();
  // Node.js would check all connections for stalled requests every 30 s; only this user can stall us.
  const server = createServer({ connectionsCheckingInterval: 2 ** 31 - 1, keepAlive: false }, (request, response) => {
    void serve(request, response);
  });
  server.maxConnections = maxConnections;
  // Too many open files: the next connection may succeed, and no unit is harmed.
  server.on('error', () => undefined);

  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    response.on('error', () => undefined); // A reader that goes away is no error of ours.
    try {
      const reply = await answer(request);
      if (!response.destroyed) send(response, reply);
    } catch (error) {
      sendError(response, error);
    }
  };

  const answer = async (request: IncomingMessage): Promise<Reply> => {
    const url = urlOf(request);
    const { route, name } = matchRoute(request.method ?? 'GET', url.pathname);
    const body = await jsonBody(request, maxBodyBytes);
    return route.answer({ source, clock, name, query: Object.fromEntries(url.searchParams), body });
  };

  const send = (response: ServerResponse, reply: Reply) => {
    switch (reply.kind) {
      case 'json':
        sendText(response, reply.status ?? 200, 'application/json; charset=utf-8', JSON.stringify(reply.value));
        return;
      case 'text':
        sendText(response, 200, reply.contentType, reply.text);
        return;
      case 'stream': {
        response.writeHead(200, { 'content-type': reply.contentType, 'cache-control': 'no-store' });
        // The head goes out before the first line, so that a client knows that it misses nothing from here on.
        response.flushHeaders();
        const feed = reply.follow(response);
        following.set(response, feed);
        const end = () => {
          following.delete(response);
          feed[Symbol.dispose]();
        };
        response.once('close', end);
      }
    }
  };

  const sendError = (response: ServerResponse, error: unknown) => {
    const isExpected = error instanceof StartupError;
    const told = isExpected ? (error as StartupError) : internalError(error);
    if (!isExpected) source.executor.events.emit({ type: 'notice', level: 'warning', text: told.message });
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    const { allow } = told.detail;
    if (typeof allow === 'string') response.setHeader('allow', allow);
    response.setHeader('connection', 'close');
    sendText(response, statusOf(told), 'application/json; charset=utf-8', JSON.stringify(errorToJson(told)));
  };

  let closing: Promise<void> | undefined;
  const close = async () => {
    source.executor.events.flush();
    const ended = new Promise<void>((resolve) => void server.close(() => resolve()));
    for (const [response, feed] of [...following]) {
      feed[Symbol.dispose]();
      response.end();
    }
    server.closeIdleConnections();
    using _grace = clock.timer(closeGraceMs, () => server.closeAllConnections());
    await ended;
    rmSync(socketPath, { force: true });
  };

  await listenPrivately(server, socketPath);
  return {
    socketPath,
    close: () => (closing ??= close()),
    [Symbol.asyncDispose]: () => (closing ??= close()),
  };
}

function sendText(response: ServerResponse, status: number, contentType: string, text: string): void {
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

function urlOf(request: IncomingMessage): URL {
  try {
    return new URL(request.url ?? '/', 'http://k3s-lite');
  } catch {
    throw new StartupError('ERR_USAGE', 'the request is not understood: its path is no path', { status: 400 });
  }
}

function internalError(error: unknown): StartupError {
  const message = messageOf(error);
  return new StartupError('ERR_INTERNAL', `internal error: ${message}`, {}, { cause: error });
}
