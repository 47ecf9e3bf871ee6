/**
 * One request to a join server over a connection of its own, with a limit for each thing that can
 * hang: the connection, the TLS handshake (demand H6: it has its own), the answer.
 *
 * Node's own limits cannot tell these apart, so socket and handshake are made here, and the error
 * says which of them it was.
 */
import { request as httpRequest } from 'node:http';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { abortError, onAbort } from '../../kernel/abort.ts';
import type { Clock } from '../../kernel/clock.ts';
import { formatDurationMs } from '../../kernel/duration.ts';
import { inTime } from '../../kernel/in-time.ts';
import { addressOfUrl } from '../../probe/connection.ts';

export interface JoinLimits {
  readonly connectMs: number;
  /** A server that accepts and then says nothing is given up after this. */
  readonly handshakeMs: number;
  readonly answerMs: number;
}

/** K3s gives all of a request 10 s; a name that takes 10 s to be connected to is down. */
export const defaultJoinLimits: JoinLimits = { connectMs: 4_000, handshakeMs: 4_000, answerMs: 10_000 };
/** The largest honest answer is the sealed authorities. */
const longestAnswer = 1024 * 1024;

export interface JoinCall {
  /** https://host:port */
  readonly origin: string;
  /** One address of the origin's name, where that has several; the certificate is still to be of the name. */
  readonly connectTo?: string | undefined;
  readonly path: string;
  readonly method?: 'GET' | 'POST';
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Whom to believe, PEM. Undefined: anybody, for the one question whose answer is checked otherwise. */
  readonly authority: string | undefined;
  /** Of the one who asks, PEM; a server may do without. */
  readonly identity?: ClientIdentity | undefined;
  readonly limits?: JoinLimits;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface ClientIdentity {
  readonly cert: string;
  readonly key: string;
}

export interface JoinReply {
  readonly status: number;
  readonly body: string;
}

/** @throws an Error whose message ends the sentence "SERVER: …"; the reason of `signal` */
export async function joinRequest(call: JoinCall): Promise<JoinReply> {
  const { origin, connectTo, clock, signal, limits = defaultJoinLimits } = call;
  const { host, port } = addressOfUrl(new URL(origin));
  const within = <T>(limitMs: number, what: string, run: (end: AbortSignal) => Promise<T>) =>
    inTime({ limitMs, clock, signal }, `${what} within ${formatDurationMs(limitMs)}`, run);
  const plain = await within(limits.connectMs, 'no connection', (end) => opened(connectTo ?? host, port, end));
  try {
    const secure = await within(limits.handshakeMs, 'no TLS handshake', (end) => handshake(plain, host, call, end));
    return await within(limits.answerMs, 'no answer', (end) => exchange(secure, call, end));
  } finally {
    plain.destroy();
  }
}

function opened(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  return settled(signal, (resolve, reject) => {
    const socket = connectTcp({ host, port });
    socket.once('connect', () => {
      resolve(socket);
    });
    socket.once('error', reject);
    return () => socket.destroy();
  });
}

function handshake(
  socket: Socket,
  host: string,
  { authority, identity }: JoinCall,
  signal: AbortSignal,
): Promise<Socket> {
  return settled(signal, (resolve, reject) => {
    const secure = connectTls({
      socket,
      minVersion: 'TLSv1.2',
      ...(isIP(host) === 0 ? { servername: host } : {}),
      host,
      ...(authority === undefined ? { rejectUnauthorized: false } : { ca: authority, ...identity }),
    });
    secure.once('secureConnect', () => {
      resolve(secure);
    });
    secure.once('error', reject);
    return () => socket.destroy();
  });
}

function exchange(socket: Socket, call: JoinCall, signal: AbortSignal): Promise<JoinReply> {
  const { origin, path, method = 'GET', body, headers } = call;
  return settled(signal, (resolve, reject) => {
    const outgoing = httpRequest({
      createConnection: () => socket,
      method,
      path,
      headers: {
        host: new URL(origin).host,
        connection: 'close',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
    });
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > longestAnswer) reject(new Error('the answer is too long'));
        else chunks.push(chunk);
      });
      response.once('error', reject);
      response.once('end', () => {
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') });
      });
    });
    outgoing.end(body);
    return () => socket.destroy();
  });
}

/** A promise of something that `begin` starts and its result cancels; what comes after it has settled is dropped. */
function settled<T>(
  signal: AbortSignal,
  begin: (resolve: (value: T) => void, reject: (error: Error) => void) => () => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(abortError(signal));
      return;
    }
    const cancel = begin(
      (value) => {
        listener[Symbol.dispose]();
        resolve(value);
      },
      (error) => {
        listener[Symbol.dispose]();
        reject(error);
      },
    );
    const listener = onAbort(signal, () => {
      reject(abortError(signal));
      cancel();
    });
  });
}
