/** What every gRPC call begins and ends with: a connection of its own, and the status of the answer. Source: grpc.io, "gRPC over HTTP2". */
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
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
  /** Called when the connection is there, just before the request is sent: what fails later may have been performed. */
  readonly onConnected?: () => void;
}

/** A call that the server answered with a status other than OK. */
export class GrpcError extends Error {
  override readonly name = 'GrpcError';
  readonly status: number;
  /** What the server said, without the name of the status. */
  readonly told: string;
  constructor(status: number, message: string) {
    super(message === '' ? statusName(status) : `${statusName(status)}: ${message}`);
    this.status = status;
    this.told = message;
  }
}

const ok = 0;
export const grpcStatus = { unknown: 2, notFound: 5, permissionDenied: 7, unimplemented: 12, unavailable: 14 } as const;
/** Source: grpc.io, "Status codes", in order of their numbers. */
const statusNames = [
  ...['OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS'],
  ...['PERMISSION_DENIED', 'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED'],
  ...['INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED'],
];
const statusName = (status: number) => statusNames[status] ?? `status ${String(status)}`;

/** Compressed flag and length of a message. */
export const prefixBytes = 5;
/** gRPC libraries refuse longer answers by default, too. Source: grpc-go defaultClientMaxReceiveMessageSize. */
export const maxMessageBytes = 4 * 1024 * 1024;

/**
 * Opens a session for one call and closes it when `use` has ended.
 *
 * @throws ProbeFailure or an Error of Node.js when the connection fails; the reason of the call's signal; what `use` throws
 */
export async function withGrpcSession<T>(call: GrpcCall, use: (session: ClientHttp2Session) => Promise<T>): Promise<T> {
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
    // What comes after the call has been settled.
    session.on('error', () => undefined);
    try {
      call.onConnected?.();
      const answer = await use(session);
      call.owner?.verify(address, plain);
      return answer;
    } finally {
      session.destroy();
    }
  } finally {
    socket.destroy();
  }
}

/** Sends the one message of the request; the answer is the stream's. */
export function sendRequest(session: ClientHttp2Session, path: string): ClientHttp2Stream {
  return session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
}

export function framed(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Headers and trailers of an answer as they come: a failed call has its status in the headers, one with an answer in the trailers. */
export function headersOf(stream: ClientHttp2Stream): IncomingHttpHeaders {
  const headers: IncomingHttpHeaders = {};
  const add = (received: IncomingHttpHeaders) => void Object.assign(headers, received);
  stream.on('response', add);
  stream.on('trailers', add);
  return headers;
}

/** @throws {@link GrpcError} when the ended answer has a status other than OK */
export function requireOk(headers: IncomingHttpHeaders): void {
  const httpStatus = Number(headers[':status']);
  const status = headers['grpc-status'] === undefined ? undefined : Number(headers['grpc-status']);
  if (status === undefined) throw new GrpcError(grpcStatus.unknown, `HTTP ${String(httpStatus)} without a gRPC status`);
  if (status !== ok) throw new GrpcError(status, decoded(headers['grpc-message']));
}

/**
 * The first message in `body`, and how many bytes of it that takes; undefined when it is not whole yet.
 *
 * @throws {@link GrpcError} when it is compressed, or longer than is taken
 */
export function firstMessage(body: Buffer): { readonly message: Buffer; readonly bytes: number } | undefined {
  if (body.length < prefixBytes) return undefined;
  if (body[0] !== 0) throw new GrpcError(grpcStatus.unknown, 'the answer is compressed, which was not offered');
  const length = body.readUInt32BE(1);
  if (length > maxMessageBytes) throw new Error('the answer is longer than 4 MiB');
  const bytes = prefixBytes + length;
  return body.length < bytes ? undefined : { message: body.subarray(prefixBytes, bytes), bytes };
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
