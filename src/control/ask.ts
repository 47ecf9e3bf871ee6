/**
 * A client's side of a control socket, whoever answers on it: asks, and reads the answer. What comes back is checked;
 * an error of the server comes back as the same error.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import * as z from 'zod';
import { errorFromJson, isErrorJson } from '../error/from-json.ts';
import { StartupError } from '../error/startup-error.ts';
import { abortError } from '../kernel/abort.ts';

/** Who is asked. */
export interface Peer {
  /** As its errors name it. */
  readonly name: string;
  readonly socketPath: string;
  readonly signal?: AbortSignal | undefined;
  connectionError(error: NodeJS.ErrnoException): Error;
}

export interface Question {
  readonly path: string;
  /** Makes it a POST. */
  readonly body?: unknown;
  /** How long the answer may take to begin, in milliseconds (default: as long as it likes). */
  readonly withinMs?: number;
}

/** Resolves when the answer has begun. */
export function ask(peer: Peer, { path, body, withinMs = 0 }: Question): Promise<IncomingMessage> {
  const { name, socketPath, signal } = peer;
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      socketPath,
      path,
      method: body === undefined ? 'GET' : 'POST',
      // Without an agent the connection ends with the answer, and nothing keeps this process alive.
      agent: false,
      ...(signal === undefined ? {} : { signal }),
    });
    request.setTimeout(withinMs, () => {
      request.destroy(
        new StartupError('ERR_CONTROL', `${name} does not answer on ${socketPath}`, { reason: 'silent', socketPath }),
      );
    });
    request.once('error', (error) => {
      if (signal?.aborted === true) reject(abortError(signal));
      else reject(error instanceof StartupError ? error : peer.connectionError(error));
    });
    request.once('response', (response) => {
      request.setTimeout(0);
      const status = response.statusCode ?? 500;
      if (status < 300) resolve(response);
      else textOf(response).then((text) => reject(errorOf(peer, text, status)), reject);
    });
    if (body === undefined) request.end();
    else request.end(JSON.stringify(body));
  });
}

export async function textOf(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let text = '';
  for await (const chunk of response as AsyncIterable<string>) text += chunk;
  return text;
}

/** With the last one, also when the server was killed in the middle of it. */
export async function* linesOf(peer: Peer, response: IncomingMessage): AsyncGenerator<string, void> {
  const rest = yield* wholeLinesOf(peer, response);
  if (rest !== '') yield rest;
}

/** Each line as what its JSON says. */
export async function* valuesOf<T>(peer: Peer, schema: z.ZodType<T>, lines: AsyncIterable<string>): AsyncGenerator<T> {
  for await (const line of lines) yield parseReply(peer, schema, line);
}

/**
 * Without one that the end of the server has cut off.
 *
 * @returns what follows the last whole line
 */
export async function* wholeLinesOf({ signal }: Peer, response: IncomingMessage): AsyncGenerator<string, string> {
  response.setEncoding('utf8');
  let rest = '';
  try {
    for await (const chunk of response as AsyncIterable<string>) {
      const lines = `${rest}${chunk}`.split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
  } catch (error) {
    if (signal?.aborted === true) throw abortError(signal);
    // A server that was killed resets the connection in the middle; for a follower that is the end.
    if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
  }
  return rest;
}

export function parseReply<T>({ name }: Peer, schema: z.ZodType<T>, text: string): T {
  const result = schema.safeParse(jsonOf(text));
  if (result.success) return result.data;
  throw new StartupError('ERR_CONTROL', `${name} answered something else: is it of another version?`, {
    reason: 'protocol',
    problems: z.prettifyError(result.error),
  });
}

function errorOf({ name }: Peer, text: string, status: number): Error {
  const json = jsonOf(text);
  if (isErrorJson(json)) return errorFromJson(json);
  return new StartupError('ERR_CONTROL', `${name} answered with status ${String(status)}`, { status });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
