/**
 * What goes over the control socket, as zod schemas: the server checks what comes in, the client
 * what comes back. Paths carry the version; unknown keys of a newer server are ignored.
 */
import * as z from 'zod';
import { isErrorJson } from '../error/from-json.ts';
import type { ErrorJson } from '../error/startup-error.ts';
import { graphFormats } from '../graph/draw.ts';
import { edgeKinds } from '../unit/schema.ts';
import { unitStates } from '../unit/state.ts';

/** Lines of a log that one request may ask for. */
export const maxLogLines = 100_000;
/** Source: `logs` in the command table. */
export const defaultLogLines = 100;
/** Content type of /v1/metrics. Source: https://prometheus.io/docs/instrumenting/exposition_formats/ */
export const metricsType = 'text/plain; version=0.0.4; charset=utf-8';

const moment = z.object({ wallMs: z.number(), monotonicMs: z.number() });
const errorSchema = z.custom<ErrorJson>(isErrorJson, 'not an error');
const state = z.enum(unitStates);
const edgeKind = z.enum(edgeKinds);

export const snapshotSchema = z.object({
  unit: z.string(),
  state,
  desired: z.enum(['up', 'down']),
  stoppedByUser: z.literal(true).optional(),
  generation: z.number(),
  since: moment,
  startedAt: moment.optional(),
  readyAt: moment.optional(),
  pid: z.number().optional(),
  restarts: z.number(),
  waitingFor: z.array(
    z.object({ unit: z.string(), kind: edgeKind, state, since: moment, lastError: errorSchema.optional() }),
  ),
  degraded: z.array(z.object({ unit: z.string(), kind: edgeKind, reason: z.string(), cause: errorSchema.optional() })),
  lastError: errorSchema.optional(),
  lastFailure: z.object({ at: moment, text: z.string() }).optional(),
  nextRetryAt: moment.optional(),
  exhausted: z.boolean(),
  status: z.string().optional(),
});
/** A snapshot with its errors in JSON form. */
export type WireSnapshot = z.infer<typeof snapshotSchema>;

const instanceSchema = z.object({
  version: z.string(),
  pid: z.number(),
  dataDir: z.string(),
  /** When this k3s-lite was started, in milliseconds since the Unix epoch. */
  startedAtMs: z.number(),
  nodeName: z.string().optional(),
  kubeconfig: z.string().optional(),
});
/** What is known of the running k3s-lite beside its units. */
export type InstanceFacts = z.infer<typeof instanceSchema>;

/** What a unit uses now. */
const usageSchema = z.object({
  /** Of the present run. */
  cpuSeconds: z.number(),
  memoryBytes: z.number(),
  /** Where the kernel keeps it: for units with `limits.memory`. */
  memoryPeakBytes: z.number().optional(),
  processes: z.number(),
  /** Where the CPU time is from: with `processes` that of ended ones is missing. */
  source: z.enum(['cgroup', 'processes']),
});
export type WireUsage = z.infer<typeof usageSchema>;

export const statusSchema = z.object({
  instance: instanceSchema,
  /** Every wanted unit is ready or done. */
  ready: z.boolean(),
  /** The server's clocks, to reckon "since" with. */
  now: moment,
  units: z.array(snapshotSchema),
  /** By unit; only if it was asked for. */
  usage: z.record(z.string(), usageSchema).optional(),
});
export type Status = z.infer<typeof statusSchema>;

export const unitReplySchema = z.object({ now: moment, unit: snapshotSchema });
export type UnitReply = z.infer<typeof unitReplySchema>;

const dependent = z.object({ unit: z.string(), kind: edgeKind, state });

const whyGate = z.object({
  unit: z.string(),
  kind: edgeKind,
  /** Not what the unit above waits for (any more). */
  isOpen: z.boolean(),
  state,
  forMs: z.number(),
  /** Told when the dependency is not up, once in a tree. */
  get why(): z.ZodOptional<typeof whySchema> {
    return whySchema.optional();
  },
});

export const whySchema = z.object({
  unit: z.string(),
  state,
  desired: z.enum(['up', 'down']),
  stoppedByUser: z.literal(true).optional(),
  /** How long it has been in this state, in milliseconds. */
  forMs: z.number(),
  generation: z.number(),
  restarts: z.number(),
  pid: z.number().optional(),
  status: z.string().optional(),
  /** The last outcome of its readiness check, while it is starting. */
  lastCheck: z.string().optional(),
  error: errorSchema.optional(),
  /** How its last run failed, if it runs again. */
  lastFailure: z.object({ text: z.string(), agoMs: z.number() }).optional(),
  nextRetryInMs: z.number().optional(),
  degraded: snapshotSchema.shape.degraded,
  gates: z.array(whyGate),
  /** Units that cannot start because of this one, the unit asked about only. */
  holdsUp: z.array(dependent),
  /** Units that must stop before it, where it was asked to stop; the unit asked about only. */
  stopsAfter: z.array(z.object({ unit: z.string(), state, forMs: z.number() })).default([]),
});
/** Why a unit is in its state, with the same for each dependency that is not up. */
export type WhyTree = z.infer<typeof whySchema>;

/** A unit that everything else of the tree waits for. */
export const whyReplySchema = z.object({
  tree: whySchema,
  roots: z.array(z.object({ unit: z.string(), line: z.string(), hint: z.string().optional() })),
});
export type WhyReply = z.infer<typeof whyReplySchema>;

export const downRequestSchema = z.strictObject({ hurry: z.boolean().default(false) });
export const downReplySchema = z.object({ pid: z.number() });

const unitsRequest = { units: z.array(z.string().min(1)).min(1).max(1000) };
export const startRequestSchema = z.strictObject(unitsRequest);
export const stopRequestSchema = z.strictObject({ ...unitsRequest, cascade: z.boolean().default(false) });
/** What the request moves: for a restart it has happened when the generation is higher than the one told here. */
export const movedSchema = z.object({ units: z.array(z.object({ unit: z.string(), generation: z.number() })) });
export type MovedReply = z.infer<typeof movedSchema>;

const names = z.array(z.string());
export const planSchema = z.object({ stop: names, restart: names, start: names, update: names });
export const reloadRequestSchema = z.strictObject({ dryRun: z.boolean().default(false) });
export const reloadReplySchema = z.object({
  plan: planSchema,
  /** Changes that only the next `up` takes over, one line each. */
  notes: names,
  elapsedMs: z.number(),
  rolledBack: z.array(z.object({ unit: z.string(), error: errorSchema.optional() })),
  waiting: names,
});
export type ReloadReply = z.infer<typeof reloadReplySchema>;

export const dumpReplySchema = z.object({ file: z.string() });

/** A line of /v1/events: an envelope, or how many events were lost because the reader was too slow. */
export const eventLineSchema = z.union([
  z.object({
    seq: z.number(),
    wallMs: z.number(),
    monotonicMs: z.number(),
    event: z.looseObject({ type: z.string() }),
  }),
  z.object({ dropped: z.number() }),
]);
export type EventLine = z.infer<typeof eventLineSchema>;

const flag = z.enum(['1', 'true', '0', 'false']).transform((text) => text === '1' || text === 'true');
const count = z
  .string()
  .regex(/^\d{1,15}$/, 'must be a whole number')
  .transform(Number);

export const logsQuerySchema = z.strictObject({
  lines: count.pipe(z.number().max(maxLogLines)).optional(),
  follow: flag.optional(),
});
export const eventsQuerySchema = z.strictObject({ since: count.optional(), follow: flag.optional() });
export const graphQuerySchema = z.strictObject({ format: z.enum(graphFormats).default('dot') });
export const statusQuerySchema = z.strictObject({ usage: flag.optional() });
export const noQuerySchema = z.strictObject({});
