/** The client of a balancer's control socket. What comes back is checked; its errors come back as errors. */
import { readdirSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import path from 'node:path';
import * as z from 'zod';
import { balancerSocket, type Paths } from '../../app/paths.ts';
import type { Supposition } from '../../balancer/explain.ts';
import { policies, serverStates } from '../../balancer/routing-state.ts';
import { errorFromJson, isErrorJson } from '../../error/from-json.ts';
import { StartupError } from '../../error/startup-error.ts';
import { abortError } from '../../kernel/abort.ts';

const serverSchema = z.object({
  address: z.string(),
  state: z.enum(serverStates),
  forMs: z.number(),
  connections: z.number(),
  weight: z.number(),
  marks: z.array(z.string()),
  dialMs: z.number().optional(),
  lastError: z.object({ source: z.string(), reason: z.string(), agoMs: z.number() }).optional(),
});
export type WireServer = z.infer<typeof serverSchema>;

const listSchema = z.object({
  name: z.string(),
  listen: z.string(),
  policy: z.enum(policies),
  servers: z.array(serverSchema),
});
export type WireList = z.infer<typeof listSchema>;

const explanationSchema = z.object({
  name: z.string(),
  policy: z.enum(policies),
  candidates: z.array(z.object({ server: z.string(), why: z.string() })),
  excluded: z.array(z.object({ server: z.string(), why: z.string() })),
});
export type WireExplanation = z.infer<typeof explanationSchema>;

const eventSchema = z.looseObject({ type: z.string() });
const simulationSchema = z.object({
  steps: z.array(
    z.object({ what: z.looseObject({ what: z.string() }), events: z.array(eventSchema), next: z.string().optional() }),
  ),
  servers: z.array(serverSchema),
});
export type WireSimulation = z.infer<typeof simulationSchema>;

const envelopeSchema = z.object({ seq: z.number(), wallMs: z.number(), event: eventSchema });
export type WireEvent = z.infer<typeof envelopeSchema>;
const eventsSchema = z.object({ events: z.array(envelopeSchema) });
const lineSchema = z.union([envelopeSchema, z.object({ dropped: z.number() })]);
export type WireLine = z.infer<typeof lineSchema>;

const movedSchema = z.object({ servers: z.array(serverSchema) });

export interface RunningBalancer {
  readonly name: string;
  readonly socketPath: string;
}

/** The balancers of a data directory that run, or did until they were killed. */
export function balancersIn(paths: Paths): readonly RunningBalancer[] {
  const folder = path.dirname(balancerSocket(paths, ''));
  try {
    return readdirSync(folder)
      .filter((file) => file.endsWith('.sock'))
      .sort()
      .map((file) => ({ name: path.basename(file, '.sock'), socketPath: path.join(folder, file) }));
  } catch {
    return [];
  }
}

export interface BalancerClient {
  readonly name: string;
  servers(): Promise<WireList>;
  explain(): Promise<WireExplanation>;
  /** Those that are still kept, from `since` on. */
  events(since?: number): Promise<readonly WireEvent[]>;
  /** Those to come (or from `since` on), until the balancer ends; they are being followed when it resolves. */
  follow(since?: number): Promise<AsyncIterable<WireLine>>;
  metrics(): Promise<string>;
  operate(verb: 'drain' | 'undrain' | 'pin' | 'unpin', body: object): Promise<z.infer<typeof movedSchema>>;
  simulate(steps: readonly Supposition[]): Promise<WireSimulation>;
}

export function balancerClient({ name, socketPath }: RunningBalancer, signal: AbortSignal): BalancerClient {
  const ask = async (path: string, body?: object) => textOf(await send({ name, socketPath, signal, path, body }));
  const get = async <T>(path: string, schema: z.ZodType<T>) => reply(schema, await ask(path));
  const post = async <T>(path: string, body: object, schema: z.ZodType<T>) => reply(schema, await ask(path, body));
  return {
    name,
    servers: () => get('/v1/servers', listSchema),
    explain: () => get('/v1/explain', explanationSchema),
    events: async (since = 0) => (await get(`/v1/events?since=${String(since)}`, eventsSchema)).events,
    async follow(since) {
      const path = `/v1/events?follow=1${since === undefined ? '' : `&since=${String(since)}`}`;
      return linesOf(await send({ name, socketPath, signal, path, body: undefined }), signal);
    },
    metrics: () => ask('/v1/metrics'),
    operate: (verb, body) => post(`/v1/${verb}`, body, movedSchema),
    simulate: (steps) => post('/v1/simulate', { steps }, simulationSchema),
  };
}

interface Question extends RunningBalancer {
  readonly signal: AbortSignal;
  readonly path: string;
  readonly body: object | undefined;
}

function send({ name, socketPath, signal, path, body }: Question): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? 'GET' : 'POST';
    const request = httpRequest({ socketPath, path, method, agent: false, signal });
    request.once('error', (cause) => {
      if (signal.aborted) reject(abortError(signal));
      const message = `the balancer ${name} does not answer on ${socketPath}`;
      reject(new StartupError('ERR_CONTROL', message, { name }, { cause }));
    });
    request.once('response', (response) => {
      response.setEncoding('utf8');
      if ((response.statusCode ?? 500) < 300) resolve(response);
      else textOf(response).then((text) => reject(errorOf(text)), reject);
    });
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response as AsyncIterable<string>) text += chunk;
  return text;
}

async function* linesOf(response: IncomingMessage, signal: AbortSignal): AsyncIterable<WireLine> {
  let rest = '';
  try {
    for await (const chunk of response as AsyncIterable<string>) {
      const lines = `${rest}${chunk}`.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) yield reply(lineSchema, line);
    }
  } catch (error) {
    if (signal.aborted) throw abortError(signal);
    // A balancer that ends or is killed resets the connection; for a follower that is the end.
    if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
  }
}

function errorOf(text: string): Error {
  const json = parsed(text);
  return isErrorJson(json)
    ? errorFromJson(json)
    : new StartupError('ERR_CONTROL', 'the balancer answered something else', {});
}

function reply<T>(schema: z.ZodType<T>, text: string): T {
  const result = schema.safeParse(parsed(text));
  if (result.success) return result.data;
  throw new StartupError('ERR_CONTROL', 'the balancer answered something else: is it of another version?', {
    problems: z.prettifyError(result.error),
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
