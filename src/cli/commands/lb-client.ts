/** The client of a balancer's control socket. */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { balancerSocket, type Paths } from '../../app/paths.ts';
import type { Supposition } from '../../balancer/explain.ts';
import { policies, serverStates } from '../../balancer/routing-state.ts';
import { ask, parseReply, textOf, valuesOf, wholeLinesOf, type Peer } from '../../control/ask.ts';
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

/** Until an answer begins. All of them are made from what is in memory: one that is later has a stopped process behind it. */
const answerWithinMs = 5_000;

export function balancerClient(
  { name, socketPath }: RunningBalancer,
  signal: AbortSignal,
  withinMs = answerWithinMs,
): BalancerClient {
  const peer: Peer = {
    name: `the balancer ${name}`,
    socketPath,
    signal,
    connectionError(cause) {
      const message = `the balancer ${name} does not answer on ${socketPath}`;
      return new StartupError('ERR_CONTROL', message, { name }, { cause });
    },
  };
  const text = async (path: string, body?: object) => textOf(await ask(peer, { path, body, withinMs }));
  const get = async <T>(path: string, schema: z.ZodType<T>) => parseReply(peer, schema, await text(path));
  const post = async <T>(path: string, body: object, schema: z.ZodType<T>) =>
    parseReply(peer, schema, await text(path, body));
  return {
    name,
    servers: () => get('/v1/servers', listSchema),
    explain: () => get('/v1/explain', explanationSchema),
    events: async (since = 0) => (await get(`/v1/events?since=${String(since)}`, eventsSchema)).events,
    async follow(since) {
      const path = `/v1/events?follow=1${since === undefined ? '' : `&since=${String(since)}`}`;
      return valuesOf(peer, lineSchema, wholeLinesOf(peer, await ask(peer, { path, withinMs })));
    },
    metrics: () => text('/v1/metrics'),
    operate: (verb, body) => post(`/v1/${verb}`, body, movedSchema),
    simulate: (steps) => post('/v1/simulate', { steps }, simulationSchema),
  };
}
