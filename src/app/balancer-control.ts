/** Serves a balancer's control API: HTTP on a unix socket, 0600 in a 0700 folder, as the supervisor's own. */
import { rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { answerControl, type ControlTarget } from '../balancer/control-api.ts';
import { jsonBody } from '../control/json-body.ts';
import { listenPrivately } from '../control/socket-file.ts';
import { errorToJson, StartupError } from '../error/startup-error.ts';

/** A list of a thousand servers fits. */
const maxBodyBytes = 256 * 1024;
const maxConnections = 64;

/** @throws StartupError ERR_CONTROL if the socket cannot be made safely or another balancer answers there */
export async function serveBalancerControl(options: {
  readonly socketPath: string;
  readonly target: ControlTarget;
}): Promise<AsyncDisposable> {
  const { socketPath, target } = options;
  const server = createServer({ keepAlive: false }, (request, response) => void serve(request, response, target));
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

async function serve(request: IncomingMessage, response: ServerResponse, target: ControlTarget): Promise<void> {
  response.on('error', () => undefined); // A reader that goes away is no error of ours.
  try {
    const url = new URL(request.url ?? '/', 'http://balancer');
    const reply = answerControl(target, {
      method: request.method ?? 'GET',
      url,
      body: await jsonBody(request, maxBodyBytes),
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
