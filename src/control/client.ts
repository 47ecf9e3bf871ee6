/** The typed client of the control API. Every answer is checked; an error of the server comes back as the same error. */
import { statSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import * as z from 'zod';
import { errorFromJson, isErrorJson } from '../error/from-json.ts';
import { StartupError } from '../error/startup-error.ts';
import type { GraphFormat } from '../graph/draw.ts';
import { abortError } from '../kernel/abort.ts';
import {
  downReplySchema,
  dumpReplySchema,
  eventLineSchema,
  movedSchema,
  reloadReplySchema,
  statusSchema,
  unitReplySchema,
  whyReplySchema,
  type EventLine,
  type MovedReply,
  type ReloadReply,
  type Status,
  type UnitReply,
  type WhyReply,
} from './protocol.ts';

export interface ControlClientOptions {
  readonly socketPath: string;
  /** Named in the error when nothing runs there. */
  readonly dataDir: string;
  readonly signal?: AbortSignal | undefined;
}

/** Every method throws ERR_CONTROL if nothing runs there (see {@link isNotRunning}), or what the server answered. */
export interface ControlClient {
  /** @param options - `usage`: with what each unit uses now */
  status(options?: { readonly usage?: boolean }): Promise<Status>;
  unit(name: string): Promise<UnitReply>;
  why(name: string): Promise<WhyReply>;
  /** Resolves when the server has answered; the lines come one by one, in a stream that ends with the server if `follow`. */
  logs(name: string, options: { readonly lines: number; readonly follow: boolean }): Promise<AsyncIterable<string>>;
  graph(format: GraphFormat): Promise<string>;
  /** Events from `since` on (default: those to come). They are being followed when it resolves. */
  events(options: { readonly since?: number; readonly follow: boolean }): Promise<AsyncIterable<EventLine>>;
  /** The text of `/metrics`. */
  metrics(): Promise<string>;
  /** Wants units and what they need up; returns at once. */
  start(request: { readonly units: readonly string[] }): Promise<MovedReply>;
  /** Stops units; returns at once. @throws ERR_NEEDED, see {@link StartupError} */
  stop(request: UnitsRequest): Promise<MovedReply>;
  restart(request: UnitsRequest): Promise<MovedReply>;
  /** Resolves when everything that changed is ready again, or was rolled back. */
  reload(options: { readonly dryRun: boolean }): Promise<ReloadReply>;
  /** Resolves with the file that holds the state now. */
  dump(): Promise<{ readonly file: string }>;
  /** Asks for a stop; returns at once. */
  down(options: { readonly hurry: boolean }): Promise<{ readonly pid: number }>;
}

export interface UnitsRequest {
  readonly units: readonly string[];
  readonly cascade: boolean;
}

/** How long the server may be silent before its answer begins, in milliseconds; it answers within milliseconds unless it hangs. */
const answerWithinMs = 30_000;

export function controlClient(options: ControlClientOptions): ControlClient {
  const get = async <T>(path: string, schema: z.ZodType<T>) => parseReply(schema, await textOf(await ask(path)));
  const post = async <T>(path: string, body: unknown, schema: z.ZodType<T>, withinMs?: number) =>
    parseReply(schema, await textOf(await ask(path, body, withinMs)));
  const ask = (path: string, body?: unknown, withinMs = answerWithinMs) => send(options, path, body, withinMs);
  return {
    status: ({ usage = false } = {}) => get(`/v1/status${usage ? '?usage=1' : ''}`, statusSchema),
    unit: (name) => get(unitPath(name), unitReplySchema),
    why: (name) => get(`${unitPath(name)}/why`, whyReplySchema),
    async logs(name, { lines, follow }) {
      return linesOf(options, await ask(`${unitPath(name)}/logs?lines=${String(lines)}&follow=${follow ? '1' : '0'}`));
    },
    async graph(format) {
      return textOf(await ask(`/v1/graph?format=${format}`));
    },
    async events({ since, follow }) {
      const from = since === undefined ? '' : `&since=${String(since)}`;
      return eventsOf(options, await ask(`/v1/events?follow=${follow ? '1' : '0'}${from}`));
    },
    async metrics() {
      return textOf(await ask('/v1/metrics'));
    },
    start: (request) => post('/v1/start', request, movedSchema),
    stop: (request) => post('/v1/stop', request, movedSchema),
    restart: (request) => post('/v1/restart', request, movedSchema),
    // It answers when all units are judged: that is as long as they take.
    reload: (request) => post('/v1/reload', request, reloadReplySchema, 0),
    dump: () => post('/v1/dump', {}, dumpReplySchema),
    down: (request) => post('/v1/down', request, downReplySchema),
  };
}

/** True if the error says that no k3s-lite runs for that data directory. */
export function isNotRunning(error: unknown): boolean {
  return error instanceof StartupError && (error as StartupError).detail['reason'] === notRunning;
}

const notRunning = 'not running';

const unitPath = (name: string) => `/v1/units/${encodeURIComponent(name)}`;

/** @param withinMs - how long the answer may take to begin, in milliseconds; 0: as long as it likes */
function send(options: ControlClientOptions, path: string, body: unknown, withinMs: number): Promise<IncomingMessage> {
  const { socketPath, signal } = options;
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
        new StartupError('ERR_CONTROL', `k3s-lite does not answer on ${socketPath}`, { reason: 'silent', socketPath }),
      );
    });
    request.once('error', (error) => reject(connectionError(error, options)));
    request.once('response', (response) => {
      request.setTimeout(0);
      if ((response.statusCode ?? 500) < 300) resolve(response);
      else textOf(response).then((text) => reject(errorOf(text, response.statusCode ?? 500)), reject);
    });
    if (body === undefined) request.end();
    else request.end(JSON.stringify(body));
  });
}

function connectionError(error: NodeJS.ErrnoException, { socketPath, dataDir, signal }: ControlClientOptions): Error {
  if (signal?.aborted === true) return abortError(signal);
  if (error instanceof StartupError) return error;
  const where = { socketPath, dataDir };
  switch (error.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new StartupError('ERR_CONTROL', `no k3s-lite runs for ${dataDir} (nothing answers on ${socketPath})`, {
        ...where,
        reason: notRunning,
        hint: notRunningHint(dataDir, error.code === 'ECONNREFUSED'),
      });
    case 'EACCES':
      return new StartupError('ERR_CONTROL', `the k3s-lite of ${dataDir} belongs to another user`, {
        ...where,
        reason: 'not allowed',
        hint: 'run this command as the user who runs k3s-lite',
      });
    default:
      return new StartupError(
        'ERR_CONTROL',
        `cannot talk to the k3s-lite of ${dataDir}: ${error.message}`,
        { ...where, reason: 'connection' },
        { cause: error },
      );
  }
}

/** @param isSocketLeft - a clean end removes its socket: one that nobody answers on was left by a kill */
function notRunningHint(dataDir: string, isSocketLeft: boolean): string {
  const withPlace = (command: string) => `\`k3s-lite ${command} --data-dir ${dataDir}\``;
  if (isSocketLeft)
    return `it was killed; what it started may still run: ${withPlace('up')} goes on with it, ${withPlace('down')} stops it`;
  const owner = ownerOf(dataDir);
  // The socket's folder follows from the user: from here, that of another one cannot be seen.
  if (owner !== undefined && owner !== process.geteuid?.())
    return `the data belongs to another user (uid ${String(owner)}): if that one runs it, ask as that user`;
  return `start it with ${withPlace('up')}, or name its data directory with --data-dir`;
}

function ownerOf(folder: string): number | undefined {
  try {
    return statSync(folder).uid;
  } catch {
    return undefined;
  }
}

function errorOf(text: string, status: number): Error {
  try {
    const json: unknown = JSON.parse(text);
    if (isErrorJson(json)) return errorFromJson(json);
  } catch {
    // Not ours; told below.
  }
  return new StartupError('ERR_CONTROL', `k3s-lite answered with status ${String(status)}`, { status });
}

function parseReply<T>(schema: z.ZodType<T>, text: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new StartupError('ERR_CONTROL', 'k3s-lite answered something else: is it of another version?', {
    reason: 'protocol',
    problems: z.prettifyError(result.error),
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let text = '';
  for await (const chunk of response as AsyncIterable<string>) text += chunk;
  return text;
}

async function* linesOf({ signal }: ControlClientOptions, response: IncomingMessage): AsyncIterable<string> {
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
  if (rest !== '') yield rest;
}

async function* eventsOf(options: ControlClientOptions, response: IncomingMessage): AsyncIterable<EventLine> {
  for await (const line of linesOf(options, response)) yield parseReply(eventLineSchema, line);
}
