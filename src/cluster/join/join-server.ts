/**
 * The port at which machines join: HTTPS with limits on everything that a stranger can make large or
 * slow. What is answered is join-desk.ts's.
 */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { bodyText } from '../../kernel/request-body.ts';
import { shownSubject } from '../shown-certificate.ts';
import { answerJoin, type JoinAnswer, type JoinDeskPorts } from './join-desk.ts';
import { limitedLog } from './limited-log.ts';
import { refuseEarly } from './refuse-early.ts';
import { nodeHeaders } from './wire.ts';

/** The largest honest body is a request to sign, of less than 1 KiB. */
const longestBody = 64 * 1024;
/** Who has not said what it wants by then is gone: a slow reader holds no socket for long. */
const defaultPatience: Patience = { handshakeMs: 5_000, headersMs: 5_000, requestMs: 10_000, answerMs: 30_000 };
const mostConnections = 512;
/** Half of all: whoever holds as many as it can from one address keeps nobody else out. */
const mostOfOneAddress = 256;

/** How long a client may take for each of them. */
export interface Patience {
  readonly handshakeMs: number;
  readonly headersMs: number;
  readonly requestMs: number;
  /** Without reading anything of the answer, the time to make it included. */
  readonly answerMs: number;
}

export interface JoinServerOptions {
  readonly host: string;
  readonly port: number;
  readonly certificate: string;
  readonly key: string;
  /** Signs the certificates of nodes, PEM: one that has joined may prove itself by its own. */
  readonly clientAuthority?: string;
  readonly desk: JoinDeskPorts;
  readonly patience?: Patience;
  /** Connections that one address may have at a time. */
  readonly mostOfOneAddress?: number;
}

export interface JoinServer extends AsyncDisposable {
  readonly port: number;
  /** Answers with another certificate from now on; connections that stand are not touched. */
  renew(certificate: string, key: string): void;
}

/** @throws the error of `listen`: the port is taken, the address is none of this machine */
export async function startJoinServer(options: JoinServerOptions): Promise<JoinServer> {
  const { host, port, certificate, key, clientAuthority, desk, patience = defaultPatience } = options;
  const authority = clientAuthority === undefined ? {} : { ca: clientAuthority };
  const refusals = limitedLog({ log: desk.log, clock: desk.clock });
  const server = createServer(
    {
      cert: certificate,
      key,
      ...authority,
      // Who has none, or one that has expired, has a token.
      requestCert: clientAuthority !== undefined,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
      handshakeTimeout: patience.handshakeMs,
      maxHeaderSize: 8 * 1024,
      headersTimeout: patience.headersMs,
      requestTimeout: patience.requestMs,
      keepAliveTimeout: patience.headersMs,
      connectionsCheckingInterval: Math.min(1_000, patience.headersMs / 2),
    },
    (request, response) => {
      void serve(request, desk, refusals.log).then((answer) => {
        if (answer === undefined) return;
        response.writeHead(answer.status, {
          'content-type': answer.type,
          'cache-control': 'no-store',
          // What was not read must not be taken for the next request.
          ...(request.complete ? {} : { connection: 'close' }),
        });
        response.end(answer.body);
      });
    },
  );
  server.maxConnections = mostConnections;
  limitEachAddress(server, options.mostOfOneAddress ?? mostOfOneAddress);
  refuseEarly(server, refusals.log);
  // Of a connection on which nothing moves, whatever it waits for: all limits else are for requests.
  server.setTimeout(patience.answerMs);
  server.listen(port, host);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    renew(cert, newKey) {
      server.setSecureContext({ cert, key: newKey, ...authority, minVersion: 'TLSv1.2' });
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      refusals[Symbol.dispose]();
    },
  };
}

/** One too many is closed before its handshake, which is what costs. */
function limitEachAddress(server: Server, most: number): void {
  const counts = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? 'unknown';
    const count = (counts.get(address) ?? 0) + 1;
    if (count > most) {
      socket.destroy();
      return;
    }
    counts.set(address, count);
    socket.once('close', () => {
      const left = (counts.get(address) ?? 1) - 1;
      if (left === 0) counts.delete(address);
      else counts.set(address, left);
    });
  });
}

/** Undefined when the sender has gone before it had said everything: there is nobody to answer. */
async function serve(
  request: IncomingMessage,
  desk: JoinDeskPorts,
  logRefusal: (line: string) => void,
): Promise<JoinAnswer | undefined> {
  const remote = request.socket.remoteAddress ?? 'unknown';
  let body: string | undefined;
  try {
    body = await bodyText(request, longestBody);
  } catch {
    return undefined;
  }
  if (body === undefined) {
    const message = `a body has at most ${String(longestBody)} bytes`;
    logRefusal(`refused ${remote}: 413 ${message}`);
    return { status: 413, type: 'application/json', body: JSON.stringify({ code: 'ERR_BODY', message }) };
  }
  return answerJoin(
    {
      method: request.method ?? '',
      path: (request.url ?? '').split('?')[0] ?? '',
      remote,
      certifiedNode: certifiedNode(request.socket),
      authorization: request.headers.authorization,
      nodeName: single(request.headers[nodeHeaders.name]),
      nodePassword: single(request.headers[nodeHeaders.password]),
      body,
    },
    desk,
  );
}

/** Whose certificate was shown and is good. Source of the names: Kubernetes, "Using Node Authorization". */
function certifiedNode(socket: Socket): string | undefined {
  const { CN: name, O: group } = shownSubject(socket) ?? {};
  if (typeof name !== 'string' || group !== 'system:nodes') return undefined;
  return /^system:node:(.+)$/.exec(name)?.[1];
}

const single = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value[0] : value);
