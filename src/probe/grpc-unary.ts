/**
 * One unary gRPC call over a connection of its own: enough for health checks, CRI requests and those
 * to etcd, without a gRPC library.
 */
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import { abortError, onAbort } from '../kernel/abort.ts';
import {
  firstMessage,
  framed,
  GrpcError,
  grpcStatus,
  headersOf,
  maxMessageBytes,
  requireOk,
  sendRequest,
  withGrpcSession,
  type GrpcCall,
} from './grpc-session.ts';

/**
 * Calls and returns the encoded response message.
 *
 * @throws {@link GrpcError} for a status other than OK; ProbeFailure or an Error of Node.js when the
 *   connection fails; the reason of `signal`
 */
export async function grpcUnary(call: GrpcCall): Promise<Uint8Array> {
  return withGrpcSession(call, async (session) => messageOf(await request(session, call)));
}

/** One call over a connection that the caller keeps; an abort ends the connection. @throws as {@link grpcUnary} */
export async function grpcOver(
  session: ClientHttp2Session,
  call: Pick<GrpcCall, 'path' | 'message' | 'signal'>,
): Promise<Uint8Array> {
  return messageOf(await request(session, call));
}

interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

function request(
  session: ClientHttp2Session,
  { path, message, signal }: Pick<GrpcCall, 'path' | 'message' | 'signal'>,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      session.destroy();
      reject(abortError(signal));
      return;
    }
    const settle = () => {
      abort[Symbol.dispose]();
      session.off('error', fail);
      session.off('close', onClose);
    };
    const fail = (error: Error) => {
      settle();
      reject(error);
    };
    // A server that closes at once leaves neither error nor answer.
    const onClose = () => {
      fail(new GrpcError(grpcStatus.unavailable, 'the connection was closed'));
    };
    const abort = onAbort(signal, () => {
      fail(abortError(signal));
      session.destroy();
    });
    session.on('error', fail);
    session.on('close', onClose);
    const stream = sendRequest(session, path);
    stream.on('error', fail);
    collect(stream, (answer) => {
      settle();
      resolve(answer);
    });
    stream.end(framed(message));
  });
}

function collect(stream: ClientHttp2Stream, finish: (answer: Answer) => void): void {
  const chunks: Buffer[] = [];
  let length = 0;
  const headers = headersOf(stream);
  stream.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length > maxMessageBytes) stream.destroy(new Error('the answer is longer than 4 MiB'));
    else chunks.push(chunk);
  });
  stream.on('end', () => {
    finish({ headers, body: Buffer.concat(chunks) });
  });
}

function messageOf({ headers, body }: Answer): Uint8Array {
  requireOk(headers);
  const first = firstMessage(body);
  if (first === undefined) throw new GrpcError(grpcStatus.unknown, 'the answer is cut short');
  return first.message;
}
