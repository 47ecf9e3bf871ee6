/** One gRPC call whose answer is a stream of messages, over a connection of its own. */
import { abortError, onAbort } from '../kernel/abort.ts';
import {
  firstMessage,
  framed,
  GrpcError,
  grpcStatus,
  headersOf,
  requireOk,
  sendRequest,
  withGrpcSession,
  type GrpcCall,
} from './grpc-session.ts';

/**
 * Calls and hands over each message of the answer, in order; the next one is not read before
 * `take` is done with it, so a slow disk holds the server back instead of filling the memory.
 *
 * @throws as `grpcUnary`, and what `take` throws
 */
export async function grpcStream(call: GrpcCall, take: (message: Uint8Array) => Promise<void>): Promise<void> {
  const { path, message, signal } = call;
  await withGrpcSession(call, async (session) => {
    signal.throwIfAborted();
    const failures: Error[] = [];
    const note = (error: Error) => void failures.push(error);
    session.on('error', note);
    const stream = sendRequest(session, path);
    // One that comes before or after anybody reads the stream must not be an uncaught one.
    stream.on('error', note);
    using _abort = onAbort(signal, () => {
      stream.destroy(abortError(signal));
    });
    const headers = headersOf(stream);
    stream.end(framed(message));
    let pending: Buffer = Buffer.alloc(0);
    try {
      for await (const chunk of stream) {
        pending = pending.length === 0 ? (chunk as Buffer) : Buffer.concat([pending, chunk as Buffer]);
        for (let first = firstMessage(pending); first !== undefined; first = firstMessage(pending)) {
          pending = pending.subarray(first.bytes);
          await take(first.message);
        }
      }
    } catch (error) {
      if (signal.aborted) throw abortError(signal);
      throw failures[0] ?? error;
    }
    requireOk(headers);
    if (pending.length > 0) throw new GrpcError(grpcStatus.unknown, 'the answer is cut short');
  });
}
