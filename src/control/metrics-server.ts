/**
 * `/metrics` on a TCP address, for a Prometheus that cannot reach a unix socket: nothing else is
 * answered there, nothing can be changed through it, and it listens only if asked.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { StartupError } from '../error/startup-error.ts';
import type { BindAddress } from './bind-address.ts';
import { metricsType } from './protocol.ts';

export interface MetricsServerOptions {
  readonly address: BindAddress;
  text(): Promise<string>;
  /** A request that could not be answered. */
  onError(error: unknown): void;
}

export interface MetricsServer extends AsyncDisposable {
  /** With the port that the system chose, if 0 was asked for. */
  readonly address: BindAddress;
}

/** Connections at once: a few scrapers; whoever holds more open does not reach the limit of open files. */
const maxConnections = 16;
/** How long a client may take for its request, in milliseconds. It is one line. */
const requestWithinMs = 10_000;

/** @throws StartupError ERR_CONFIG if the address is taken or not ours */
export async function createMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const { address, text, onError } = options;
  const server = createServer({ keepAlive: false, requestTimeout: requestWithinMs }, (request, response) => {
    response.on('error', () => undefined);
    response.setHeader('connection', 'close');
    const path = (request.url ?? '').split('?')[0];
    if (path !== '/metrics') {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('only /metrics is here\n');
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end();
    } else {
      text().then(
        (body) => response.writeHead(200, { 'content-type': metricsType }).end(body),
        (error: unknown) => {
          onError(error);
          response.writeHead(500, { 'content-type': 'text/plain' }).end('internal error\n');
        },
      );
    }
  });
  server.maxConnections = maxConnections;
  const named = `${address.host.includes(':') ? `[${address.host}]` : address.host}:${String(address.port)}`;
  try {
    server.listen(address.port, address.host);
    await once(server, 'listening');
  } catch (error) {
    const { code = 'unknown', message } = error as NodeJS.ErrnoException;
    const reason = { EADDRINUSE: 'the port is taken', EADDRNOTAVAIL: 'no interface has that address' }[code] ?? message;
    throw new StartupError('ERR_CONFIG', `cannot serve metrics on ${named}: ${reason}`, {
      address: named,
      reason: code,
    });
  }
  server.on('error', onError);
  const bound = server.address();
  return {
    address: typeof bound === 'object' && bound !== null ? { host: address.host, port: bound.port } : address,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
