/**
 * One unary gRPC call over a connection of its own: enough for health checks and CRI requests,
 * without a gRPC library. Source: grpc.io, "gRPC over HTTP2".
 */
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import { abortError, onAbort } from '../kernel/abort.ts';
import { describeAddress, openConnection, type Address } from './connection.ts';
import type { OwnerCheck } from './socket-owner.ts';
import { secureConnection, type TlsFiles } from './tls.ts';

export interface GrpcCall {
  readonly address: Address;
  /** Absent: plain text. */
  readonly tls?: TlsFiles | undefined;
  /** "/package.Service/Method" */
  readonly path: string;
  /** The encoded request message. */
  readonly message: Uint8Array;
  readonly signal: AbortSignal;
  /** Looks whether the server is the one that is meant; see `ownerCheck`. */
  readonly owner?: OwnerCheck | undefined;
  readonly isWatched?: () => boolean;
}

/** A call that the server answered with a status other than OK. */
export class GrpcError extends Error {
  override readonly name = 'GrpcError';
  readonly status: number;
  constructor(status: number, message: string) {
    super(message === '' ? statusName(status) : `${statusName(status)}: ${message}`);
    this.status = status;
  }
}

const ok = 0;
export const grpcStatus = { unknown: 2, notFound: 5, unimplemented: 12, unavailable: 14 } as const;
/** Source: grpc.io, "Status codes", in order of their numbers. */
const statusNames = [
  ...['OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS'],
  ...['PERMISSION_DENIED', 'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED'],
  ...['INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED'],
];
const statusName = (status: number) => statusNames[status] ?? `status ${String(status)}`;

/** Compressed flag and length of a message. */
const prefixBytes = 5;
/** gRPC libraries refuse longer answers by default, too. Source: grpc-go defaultClientMaxReceiveMessageSize. */
const maxAnswerBytes = 4 * 1024 * 1024;

/**
 * Calls and returns the encoded response message.
 *
 * @throws {@link GrpcError} for a status other than OK; ProbeFailure or an Error of Node.js when the
 *   connection fails; the reason of `signal`
 */
export async function grpcUnary(call: GrpcCall): Promise<Uint8Array> {
  const { address, tls, signal } = call;
  const plain = await openConnection(address, signal, call);
  const host = address.kind === 'tcp' ? address.host : 'localhost';
  const socket =
    tls === undefined ? plain : await secureConnection(plain, { host, files: tls, protocol: 'h2' }, signal);
  try {
    const { connect } = await import('node:http2');
    const secure = tls !== undefined;
    const authority = address.kind === 'tcp' ? describeAddress(address) : 'localhost';
    const session = connect(`${secure ? 'https' : 'http'}://${authority}`, { createConnection: () => socket });
    try {
      const answer = messageOf(await request(session, call));
      call.owner?.verify(address, plain);
      return answer;
    } finally {
      session.destroy();
    }
  } finally {
    socket.destroy();
  }
}

interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

function request(session: ClientHttp2Session, { path, message, signal }: GrpcCall): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      abort[Symbol.dispose]();
      reject(error);
    };
    const abort = onAbort(signal, () => {
      reject(abortError(signal));
      session.destroy();
    });
    session.on('error', fail);
    // A server that closes at once leaves neither error nor answer.
    session.on('close', () => {
      fail(new GrpcError(grpcStatus.unavailable, 'the connection was closed'));
    });
    if (signal.aborted) return;
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', fail);
    collect(stream, (answer) => {
      abort[Symbol.dispose]();
      resolve(answer);
    });
    const prefix = Buffer.alloc(prefixBytes);
    prefix.writeUInt32BE(message.length, 1);
    stream.end(Buffer.concat([prefix, message]));
  });
}

function collect(stream: ClientHttp2Stream, finish: (answer: Answer) => void): void {
  const chunks: Buffer[] = [];
  let length = 0;
  // A failed call has its status in the headers, one with an answer in the trailers.
  const headers: IncomingHttpHeaders = {};
  const add = (received: IncomingHttpHeaders) => void Object.assign(headers, received);
  stream.on('response', add);
  stream.on('trailers', add);
  stream.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length > maxAnswerBytes) stream.destroy(new Error('the answer is longer than 4 MiB'));
    else chunks.push(chunk);
  });
  stream.on('end', () => {
    finish({ headers, body: Buffer.concat(chunks) });
  });
}

function messageOf({ headers, body }: Answer): Uint8Array {
  const httpStatus = Number(headers[':status']);
  const status = headers['grpc-status'] === undefined ? undefined : Number(headers['grpc-status']);
  if (status === undefined) throw new GrpcError(grpcStatus.unknown, `HTTP ${String(httpStatus)} without a gRPC status`);
  if (status !== ok) throw new GrpcError(status, decoded(headers['grpc-message']));
  if (body.length < prefixBytes || body.length < prefixBytes + body.readUInt32BE(1)) {
    throw new GrpcError(grpcStatus.unknown, 'the answer is cut short');
  }
  if (body[0] !== 0) throw new GrpcError(grpcStatus.unknown, 'the answer is compressed, which was not offered');
  return body.subarray(prefixBytes, prefixBytes + body.readUInt32BE(1));
}

/** grpc-message is percent-encoded; a wrong encoding is shown as it is. */
function decoded(message: string | string[] | undefined): string {
  const text = String(message ?? '');
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
