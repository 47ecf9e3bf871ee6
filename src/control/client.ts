/** The typed client of the control API. Every answer is checked; an error of the server comes back as the same error. */
import { statSync } from 'node:fs';
import type * as z from 'zod';
import { StartupError } from '../error/startup-error.ts';
import type { GraphFormat } from '../graph/draw.ts';
import { ask, linesOf, parseReply, textOf, valuesOf, type Peer } from './ask.ts';
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
  const { socketPath, signal } = options;
  const peer: Peer = {
    name: 'k3s-lite',
    socketPath,
    signal,
    connectionError: (error) => connectionError(error, options),
  };
  const send = (path: string, body?: unknown, withinMs = answerWithinMs) => ask(peer, { path, body, withinMs });
  const get = async <T>(path: string, schema: z.ZodType<T>) => parseReply(peer, schema, await textOf(await send(path)));
  const post = async <T>(path: string, body: unknown, schema: z.ZodType<T>, withinMs?: number) =>
    parseReply(peer, schema, await textOf(await send(path, body, withinMs)));
  return {
    status: ({ usage = false } = {}) => get(`/v1/status${usage ? '?usage=1' : ''}`, statusSchema),
    unit: (name) => get(unitPath(name), unitReplySchema),
    why: (name) => get(`${unitPath(name)}/why`, whyReplySchema),
    async logs(name, { lines, follow }) {
      return linesOf(peer, await send(`${unitPath(name)}/logs?lines=${String(lines)}&follow=${follow ? '1' : '0'}`));
    },
    async graph(format) {
      return textOf(await send(`/v1/graph?format=${format}`));
    },
    async events({ since, follow }) {
      const from = since === undefined ? '' : `&since=${String(since)}`;
      const response = await send(`/v1/events?follow=${follow ? '1' : '0'}${from}`);
      return valuesOf(peer, eventLineSchema, linesOf(peer, response));
    },
    async metrics() {
      return textOf(await send('/v1/metrics'));
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

function connectionError(error: NodeJS.ErrnoException, { socketPath, dataDir }: ControlClientOptions): Error {
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
