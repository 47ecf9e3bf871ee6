/**
 * What a join server refuses before it is a request: too slow, too large, no HTTP. Node.js would answer
 * without a word of why, and tell nobody.
 *
 * Nothing that was received is repeated, neither in the answer nor in the log.
 */
import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import { STATUS_CODES } from 'node:http';

interface EarlyRefusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

/** Not "understood": what the parser of HTTP gives up at. Source: Node.js, the codes of llhttp begin with it. */
const parserErrors = 'HPE_';
const brokenOff = 'HPE_INVALID_EOF_STATE';

function refusalFor(code: string): EarlyRefusal | undefined {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return { status: 408, code: 'ERR_SLOW', message: 'the request took too long to arrive' };
  }
  if (code === 'HPE_HEADER_OVERFLOW') return { status: 431, code: 'ERR_BODY', message: 'the headers are too long' };
  if (!code.startsWith(parserErrors) || code === brokenOff) return undefined;
  return { status: 400, code: 'ERR_BODY', message: 'this is no request of HTTP/1.1 as it has to be' };
}

/** @param log - gets one line of each; not of a connection that broke off */
export function refuseEarly(server: Server, log: (line: string) => void): void {
  /** The parser goes on for as long as something arrives. */
  const refused = new WeakSet<Socket>();
  // HTTPS tells of broken handshakes here, too.
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (refused.has(socket)) {
      // It has had its time to read the answer.
      socket.destroy();
      return;
    }
    refused.add(socket);
    const remote = socket.remoteAddress ?? 'unknown';
    const code = error.code ?? '';
    if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') log(`refused ${remote}: its TLS handshake took too long`);
    const refusal = refusalFor(code);
    if (refusal === undefined) {
      socket.destroy();
      return;
    }
    log(`refused ${remote}: ${String(refusal.status)} ${refusal.message}`);
    if (socket.writable) socket.write(answerOf(refusal));
    socket.destroySoon();
  });
}

function answerOf({ status, code, message }: EarlyRefusal): string {
  const body = JSON.stringify({ code, message });
  const head = [
    `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? ''}`,
    'content-type: application/json',
    `content-length: ${String(Buffer.byteLength(body))}`,
    'connection: close',
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}
