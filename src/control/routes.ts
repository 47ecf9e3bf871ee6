/** The table of the control API: which path answers what. No HTTP here (server.ts). */
import type { Writable } from 'node:stream';
import * as z from 'zod';
import { errorCodes } from '../error/codes.ts';
import { StartupError } from '../error/startup-error.ts';
import { envelopeJson } from '../event/envelope-json.ts';
import { writeEvents } from '../event/write-events.ts';
import type { Clock } from '../kernel/clock.ts';
import { nearestName } from '../kernel/nearest.ts';
import type { GraphFormat } from '../graph/draw.ts';
import type { UnitSnapshot } from '../unit/state.ts';
import { followLog } from './follow-log.ts';
import {
  defaultLogLines,
  downRequestSchema,
  eventsQuerySchema,
  graphQuerySchema,
  logsQuerySchema,
  metricsType,
  noQuerySchema,
  statusQuerySchema,
  reloadRequestSchema,
  startRequestSchema,
  stopRequestSchema,
} from './protocol.ts';
import type { ControlSource } from './source.ts';
import { explain } from './why.ts';

export interface RouteInput {
  readonly source: ControlSource;
  readonly clock: Clock;
  /** The NAME of the path, decoded; "" where the path has none. */
  readonly name: string;
  readonly query: Readonly<Record<string, string>>;
  readonly body: unknown;
}

export type Reply =
  | { readonly kind: 'json'; readonly status?: number; readonly value: unknown }
  | { readonly kind: 'text'; readonly contentType: string; readonly text: string }
  | { readonly kind: 'stream'; readonly contentType: string; follow(out: Writable): Disposable };

export interface Route {
  readonly method: 'GET' | 'POST';
  /** NAME stands for one segment. */
  readonly path: string;
  answer(input: RouteInput): Reply | Promise<Reply>;
}

const contentTypes: Record<GraphFormat, string> = {
  dot: 'text/vnd.graphviz; charset=utf-8',
  svg: 'image/svg+xml; charset=utf-8',
  text: 'text/plain; charset=utf-8',
  json: 'application/json; charset=utf-8',
};
const linesOfJson = 'application/x-ndjson; charset=utf-8';
const plainText = 'text/plain; charset=utf-8';

export const routes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/status',
    answer({ source, clock, query }) {
      const { usage = false } = parse(statusQuerySchema, query);
      const { executor } = source;
      return {
        kind: 'json',
        value: {
          instance: source.facts(),
          ready: executor.isReady(),
          now: nowOf(clock),
          units: executor.snapshots(),
          ...(usage ? { usage: Object.fromEntries(source.usage()) } : {}),
        },
      };
    },
  },
  {
    method: 'GET',
    path: '/v1/units/NAME',
    answer({ source, clock, name, query }) {
      parse(noQuerySchema, query);
      return { kind: 'json', value: { now: nowOf(clock), unit: source.executor.unit(name).current } };
    },
  },
  {
    method: 'GET',
    path: '/v1/units/NAME/why',
    answer({ source, clock, name, query }) {
      parse(noQuerySchema, query);
      const { executor } = source;
      const { unit } = executor.unit(name).current;
      const snapshots = executor.snapshots();
      const lastCheckOf = lastChecks(source, snapshots);
      const nowMs = clock.monotonicMs();
      const { graph, stopWaitsFor } = executor;
      return { kind: 'json', value: explain({ unit, snapshots, graph, nowMs, lastCheckOf, stopWaitsFor }) };
    },
  },
  {
    method: 'GET',
    path: '/v1/units/NAME/logs',
    answer({ source, name, query }) {
      const { lines = defaultLogLines, follow = false } = parse(logsQuerySchema, query);
      const log = source.log(source.executor.unit(name).current.unit);
      if (follow) return { kind: 'stream', contentType: plainText, follow: (out) => followLog(log, out, lines) };
      return {
        kind: 'text',
        contentType: plainText,
        text: log
          .last(lines)
          .map((line) => `${line}\n`)
          .join(''),
      };
    },
  },
  {
    method: 'GET',
    path: '/v1/graph',
    async answer({ source, query }) {
      const { format } = parse(graphQuerySchema, query);
      return { kind: 'text', contentType: contentTypes[format], text: await source.drawGraph(format) };
    },
  },
  {
    method: 'GET',
    path: '/v1/events',
    answer({ source, query }) {
      const { since, follow = false } = parse(eventsQuerySchema, query);
      const { events } = source.executor;
      if (follow) {
        const sinceSeq = since ?? events.lastSeq + 1;
        return { kind: 'stream', contentType: linesOfJson, follow: (out) => writeEvents(events, out, sinceSeq) };
      }
      const history = events.history(since);
      const dropped = since === undefined || since === 0 ? 0 : (history[0]?.seq ?? since) - since;
      const lines = history.map((envelope) => `${envelopeJson(envelope)}\n`);
      const gap = dropped > 0 ? `${JSON.stringify({ dropped })}\n` : '';
      return { kind: 'text', contentType: linesOfJson, text: gap + lines.join('') };
    },
  },
  {
    method: 'POST',
    path: '/v1/start',
    answer({ source, query, body }) {
      parse(noQuerySchema, query);
      const { units } = parse(startRequestSchema, body);
      return { kind: 'json', status: 202, value: source.executor.startUnits(units) };
    },
  },
  {
    method: 'POST',
    path: '/v1/stop',
    answer({ source, query, body }) {
      parse(noQuerySchema, query);
      const { units, cascade } = parse(stopRequestSchema, body);
      return { kind: 'json', status: 202, value: source.executor.stopUnits(units, { cascade }) };
    },
  },
  {
    method: 'POST',
    path: '/v1/restart',
    answer({ source, query, body }) {
      parse(noQuerySchema, query);
      const { units, cascade } = parse(stopRequestSchema, body);
      return { kind: 'json', status: 202, value: source.executor.restartUnits(units, { cascade }) };
    },
  },
  {
    method: 'POST',
    path: '/v1/reload',
    async answer({ source, query, body }) {
      parse(noQuerySchema, query);
      return { kind: 'json', value: await source.reload(parse(reloadRequestSchema, body ?? {})) };
    },
  },
  {
    method: 'POST',
    path: '/v1/dump',
    answer({ source, query }) {
      parse(noQuerySchema, query);
      return { kind: 'json', value: { file: source.dump() } };
    },
  },
  {
    method: 'GET',
    path: '/v1/metrics',
    async answer({ source, query }) {
      parse(noQuerySchema, query);
      return { kind: 'text', contentType: metricsType, text: await source.metrics() };
    },
  },
  {
    method: 'POST',
    path: '/v1/down',
    answer({ source, query, body }) {
      parse(noQuerySchema, query);
      source.down(parse(downRequestSchema, body ?? {}));
      return { kind: 'json', status: 202, value: { pid: source.facts().pid } };
    },
  },
];

export interface RouteMatch {
  readonly route: Route;
  readonly name: string;
}

/**
 * Finds the route of a request.
 *
 * @throws StartupError ERR_CONTROL with `status` 404 (and the nearest known path) or 405 (and the allowed method)
 */
export function matchRoute(method: string, pathname: string): RouteMatch {
  const matches = routes.flatMap((route) => {
    const name = nameIn(route.path, pathname);
    return name === undefined ? [] : [{ route, name }];
  });
  const match = matches.find(({ route }) => route.method === method);
  if (match !== undefined) return match;
  const [other] = matches;
  if (other !== undefined) {
    throw new StartupError('ERR_CONTROL', `${pathname} is asked with ${other.route.method}, not ${method}`, {
      status: 405,
      allow: other.route.method,
    });
  }
  const given = pathname.replace(/^(\/v\d+\/units\/)[^/]+/, '$1NAME');
  const nearest = nearestName(
    given,
    routes.map(({ path }) => path),
  );
  const remedy = nearest === undefined ? '' : `; did you mean ${nearest}?`;
  throw new StartupError('ERR_CONTROL', `there is no ${pathname}${remedy}`, {
    status: 404,
    known: routes.map(({ method: verb, path }) => `${verb} ${path}`),
    ...(nearest === undefined ? {} : { nearest }),
  });
}

/** The segment at NAME ("" if the path has none), or undefined if the path is another. */
function nameIn(path: string, pathname: string): string | undefined {
  const wanted = path.split('/');
  const given = pathname.split('/');
  if (wanted.length !== given.length) return undefined;
  let name = '';
  for (const [at, segment] of wanted.entries()) {
    const actual = given[at] ?? '';
    if (segment === 'NAME' && actual !== '') name = actual;
    else if (segment !== actual) return undefined;
  }
  try {
    return decodeURIComponent(name);
  } catch {
    return undefined;
  }
}

/** The HTTP status of an error: what it says of itself, else by its code. */
export function statusOf(error: unknown): number {
  if (!(error instanceof StartupError)) return 500;
  const { status } = (error as StartupError).detail;
  if (typeof status === 'number') return status;
  if (error.code === 'ERR_UNKNOWN_UNIT') return 404;
  if (error.code === 'ERR_NEEDED') return 409;
  return errorCodes[error.code].exitCode === errorCodes.ERR_INTERNAL.exitCode ? 500 : 400;
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }) =>
    path.length === 0 ? message : `${path.join('.')}: ${message}`,
  );
  throw new StartupError('ERR_USAGE', `the request is not understood: ${problems.join('; ')}`, {
    status: 400,
    problems,
  });
}

const nowOf = (clock: Clock) => ({ wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs() });

/** The last outcome of each unit's readiness check in its present generation, from the events that are still kept. */
function lastChecks({ executor }: ControlSource, snapshots: readonly UnitSnapshot[]) {
  const generations = new Map(snapshots.map(({ unit, generation }) => [unit, generation]));
  const found = new Map<string, string>();
  for (const { event } of executor.events.history()) {
    if (event.type !== 'probe.attempt' || event.phase !== 'ready') continue;
    if (generations.get(event.unit) !== event.generation) continue;
    const attempts = `${String(event.count)} attempt${event.count === 1 ? '' : 's'}`;
    found.set(event.unit, `${event.check}: ${event.attempt.outcome} (${attempts})`);
  }
  return (unit: string) => found.get(unit);
}
