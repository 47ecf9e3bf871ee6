/**
 * An API for operators of a process of ours: HTTP on a unix socket, 0600 in a 0700 folder. What is asked
 * and answered is the process's own (balancer/control-api.ts, app/vip-control.ts). The supervisor's own
 * API, which also ends its readers in order when it stops, is control/server.ts.
 */
import { rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { ControlReply } from '../balancer/control-api.ts';
import { jsonBody } from '../control/json-body.ts';
import { listenPrivately } from '../control/socket-file.ts';
import { errorToJson, StartupError } from '../error/startup-error.ts';

export interface PrivateRequest {
  readonly method: string;
  readonly url: URL;
  /** Undefined if it has none. Not checked yet. */
  readonly body: unknown;
}

export type PrivateReply = ControlReply;

export interface PrivateApiOptions {
  readonly socketPath: string;
  readonly maxBodyBytes: number;
  /** May throw a StartupError with an HTTP `status` in its detail. */
  readonly answer: (request: PrivateRequest) => PrivateReply | Promise<PrivateReply>;
}

const maxConnections = 64;

/** @throws StartupError ERR_CONTROL if the socket cannot be made safely or another process answers there */
export async function servePrivateApi(options: PrivateApiOptions): Promise<AsyncDisposable> {
  const { socketPath } = options;
  const server = createServer({ keepAlive: false }, (request, response) => void serve(request, response, options));
  server.maxConnections = maxConnections;
  server.on('error', () => undefined);
  await listenPrivately(server, socketPath);
  return {
    async [Symbol.asyncDispose]() {
      const ended = new Promise<void>((resolve) => void server.close(() => resolve()));
      server.closeAllConnections();
      await ended;
      rmSync(socketPath, { force: true });
    },
  };
}

async function serve(request: IncomingMessage, response: ServerResponse, options: PrivateApiOptions): Promise<void> {
  response.on('error', () => undefined); // A reader that goes away is no error of ours.
  try {
    const reply = await options.answer({
      method: request.method ?? 'GET',
      url: new URL(request.url ?? '/', 'http://k3s-lite'),
      body: await jsonBody(request, options.maxBodyBytes),
    });
    if (response.destroyed) return;
    if (reply.kind === 'json') send(response, 200, 'application/json', JSON.stringify(reply.value));
    else if (reply.kind === 'text') send(response, 200, 'text/plain; version=0.0.4', reply.text);
    else {
      response.writeHead(200, { 'content-type': 'application/x-ndjson; charset=utf-8', 'cache-control': 'no-store' });
      // Out before the first line, so that a client knows that it misses nothing from here on.
      response.flushHeaders();
      const feed = reply.follow(response);
      response.once('close', () => feed[Symbol.dispose]());
    }
  } catch (error) {
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    const status = error instanceof StartupError ? (error.detail as { status?: number }).status : undefined;
    send(response, status ?? 500, 'application/json', JSON.stringify(errorToJson(error)));
  }
}

function send(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, { 'content-type': `${type}; charset=utf-8`, connection: 'close' });
  response.end(text);
}
