/** The client of a balancer's control socket. What comes back is checked; its errors come back as errors. */
import { readdirSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import path from 'node:path';
import * as z from 'zod';
import { balancerSocket, type Paths } from '../../app/paths.ts';
import type { Supposition } from '../../balancer/explain.ts';
import { policies, serverStates } from '../../balancer/routing-state.ts';
import { errorFromJson, isErrorJson } from '../../error/from-json.ts';
import { StartupError } from '../../error/startup-error.ts';

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
  candidates: z.array(z.object({ server: z.object({ address: z.string() }), why: z.string() })),
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

const eventsSchema = z.object({
  events: z.array(z.object({ seq: z.number(), wallMs: z.number(), event: eventSchema })),
});
export type WireEvents = z.infer<typeof eventsSchema>['events'];

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
  events(since?: number): Promise<WireEvents>;
  metrics(): Promise<string>;
  operate(verb: 'drain' | 'undrain' | 'pin' | 'unpin', body: object): Promise<z.infer<typeof movedSchema>>;
  simulate(steps: readonly Supposition[]): Promise<WireSimulation>;
}

export function balancerClient({ name, socketPath }: RunningBalancer, signal: AbortSignal): BalancerClient {
  const ask = (path: string, body?: object) => send({ name, socketPath, signal, path, body });
  const get = async <T>(path: string, schema: z.ZodType<T>) => reply(schema, await ask(path));
  const post = async <T>(path: string, body: object, schema: z.ZodType<T>) => reply(schema, await ask(path, body));
  return {
    name,
    servers: () => get('/v1/servers', listSchema),
    explain: () => get('/v1/explain', explanationSchema),
    events: async (since = 0) => (await get(`/v1/events?since=${String(since)}`, eventsSchema)).events,
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

function send({ name, socketPath, signal, path, body }: Question): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      socketPath,
      path,
      method: body === undefined ? 'GET' : 'POST',
      agent: false,
      signal,
    });
    request.once('error', (cause) => {
      reject(
        new StartupError('ERR_CONTROL', `the balancer ${name} does not answer on ${socketPath}`, { name }, { cause }),
      );
    });
    request.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.once('error', reject);
      response.once('end', () => {
        if ((response.statusCode ?? 500) < 300) resolve(text);
        else reject(errorOf(text));
      });
    });
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
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
