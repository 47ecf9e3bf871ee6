/**
 * Answers the heartbeats of other nodes: the gRPC health protocol, for whoever has a certificate of a
 * node of this cluster. Source: grpc.io, "GRPC Health Checking Protocol"; "gRPC over HTTP2".
 */
import { once } from 'node:events';
import { createSecureServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { healthPath } from '../../probe/grpc.ts';
import { framed, grpcStatus } from '../../probe/grpc-session.ts';
import { varintField } from '../../probe/protobuf.ts';
import { shownSubject } from '../shown-certificate.ts';

export interface ServingFiles {
  readonly cert: string;
  readonly key: string;
  /** Signs the certificates of nodes, PEM. */
  readonly ca: string;
}

export interface HeartbeatServer extends AsyncDisposable {
  readonly port: number;
  /** Answers with another certificate from now on; connections that stand are not touched. */
  renew(files: ServingFiles): void;
}

/** Peers ask each second; who has not for so long is gone, or was never one. */
const idleMs = 10_000;
const handshakeMs = 3_000;
const mostConnections = 256;
const serving = 1;

/** @throws the error of `listen`: the port is taken, the address is none of this machine */
export async function startHeartbeatServer(host: string, port: number, files: ServingFiles): Promise<HeartbeatServer> {
  const server = createSecureServer({
    ...files,
    minVersion: 'TLSv1.2',
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: handshakeMs,
    settings: { maxConcurrentStreams: 4 },
  });
  server.maxConnections = mostConnections;
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.setTimeout(idleMs, () => session.destroy());
    session.on('error', () => undefined); // A peer that is cut off is no news here.
  });
  server.on('sessionError', () => undefined);
  server.on('tlsClientError', () => undefined); // Nor is a stranger's broken handshake.
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    stream.resume();
    // A peer that has not waited: between its question and this, a busy machine may have let seconds pass.
    if (stream.destroyed) return;
    if (!isNode(stream.session?.socket)) {
      fail(stream, grpcStatus.permissionDenied, 'only nodes of this cluster are answered');
    } else if (headers[':path'] !== healthPath) {
      fail(stream, grpcStatus.unimplemented, 'only the health check is served');
    } else {
      answer(stream, framed(varintField(1, serving)));
    }
  });
  server.listen(port, host);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    renew: (next) => server.setSecureContext({ ...next, minVersion: 'TLSv1.2' }),
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const session of sessions) session.destroy();
      await closed;
    },
  };
}

/** Source of the group: Kubernetes, "Using Node Authorization". */
const isNode = (socket: Socket | undefined): boolean => shownSubject(socket)?.O === 'system:nodes';

function answer(stream: ServerHttp2Stream, body: Uint8Array): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(body);
}

/** A call that fails has its status in the headers. */
function fail(stream: ServerHttp2Stream, status: number, message: string): void {
  const trailers = { 'grpc-status': String(status), 'grpc-message': message };
  stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...trailers }, { endStream: true });
}
