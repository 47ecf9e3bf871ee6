/**
 * What an operator may ask a running balancer, as a table of paths; no HTTP here (app/ serves it on a
 * unix socket that only its owner can reach). Everything that comes in is checked by zod.
 */
import type { Writable } from 'node:stream';
import * as z from 'zod';
import { StartupError } from '../error/startup-error.ts';
import type { EventStream } from '../event/stream.ts';
import { writeLines } from '../event/write-events.ts';
import { nearestName } from '../kernel/nearest.ts';
import type { Balancer } from './balancer.ts';
import type { BalancerEvent } from './balancer-event.ts';
import { parseServerAddress } from './server-address.ts';

export interface ControlTarget {
  readonly name: string;
  /** "127.0.0.1:6444". */
  readonly listen: string;
  readonly balancer: Balancer;
  readonly events: EventStream<BalancerEvent>;
  metrics(): string;
}

export type ControlReply =
  | { readonly kind: 'json'; readonly value: unknown }
  | { readonly kind: 'text'; readonly text: string }
  /** Lines of JSON for as long as the reader likes. */
  | { readonly kind: 'stream'; follow(out: Writable): Disposable };

type Answer = (target: ControlTarget, body: unknown, query: URLSearchParams) => ControlReply;

const json = (value: unknown): ControlReply => ({ kind: 'json', value });

const serverRequest = z.strictObject({
  server: z.string().min(1),
  graceMs: z.number().min(0).max(86_400_000).optional(),
});
const updateRequest = z.strictObject({
  servers: z.array(z.strictObject({ address: z.string(), weight: z.number().min(0).max(1000).optional() })).max(1000),
});
const defaultRequest = z.strictObject({ server: z.string().min(1).nullable() });
const suppositionSchema = z.discriminatedUnion('what', [
  z.strictObject({
    what: z.enum(['dial-ok', 'dial-failed', 'dial-slow', 'check-ok', 'check-failed', 'drain', 'undrain', 'pin']),
    server: z.string(),
  }),
  z.strictObject({ what: z.literal('unpin') }),
  z.strictObject({ what: z.literal('update'), servers: z.array(z.string()).max(1000) }),
]);
const eventsQuery = z.strictObject({
  since: z.coerce.number().int().min(0).optional(),
  follow: z.literal('1').optional(),
});
const simulateRequest = z.strictObject({ steps: z.array(suppositionSchema).min(1).max(1000) });

const operate =
  (type: 'drain' | 'undrain' | 'pin'): Answer =>
  ({ balancer }, body) => {
    const { server, graceMs } = parse(serverRequest, body);
    const address = knownServer(balancer, server);
    balancer.operate(type === 'drain' ? { type, address, graceMs } : { type, address });
    return json({ servers: balancer.list() });
  };

const answers: Readonly<Record<string, Answer>> = {
  'GET /v1/servers': ({ name, listen, balancer }) =>
    json({ name, listen, policy: balancer.state.rules.policy, servers: balancer.list() }),
  'GET /v1/explain': ({ name, balancer }) => json({ name, ...balancer.explain() }),
  'GET /v1/events': ({ events }, _body, query) => {
    const { since, follow } = parse(eventsQuery, Object.fromEntries(query));
    if (follow === undefined) return json({ events: events.history(since) });
    const sinceSeq = since ?? events.lastSeq + 1;
    return { kind: 'stream', follow: (out) => writeLines(events, out, sinceSeq, (line) => JSON.stringify(line)) };
  },
  'GET /v1/metrics': ({ metrics }) => ({ kind: 'text', text: metrics() }),
  'POST /v1/servers': ({ balancer }, body) => {
    balancer.update(parse(updateRequest, body).servers);
    return json({ servers: balancer.list() });
  },
  'POST /v1/default': ({ balancer }, body) => {
    balancer.setDefault(parse(defaultRequest, body).server ?? undefined);
    return json({ servers: balancer.list() });
  },
  'POST /v1/drain': operate('drain'),
  'POST /v1/undrain': operate('undrain'),
  'POST /v1/pin': operate('pin'),
  'POST /v1/unpin': ({ balancer }) => {
    balancer.operate({ type: 'unpin' });
    return json({ servers: balancer.list() });
  },
  'POST /v1/simulate': ({ balancer }, body) => {
    const steps = parse(simulateRequest, body).steps.map((step) =>
      'server' in step ? { ...step, server: knownServer(balancer, step.server) } : step,
    );
    return json(balancer.simulate(steps));
  },
};

/** @throws StartupError ERR_USAGE with `status` in its detail, if it is not understood */
export function answerControl(
  target: ControlTarget,
  request: { readonly method: string; readonly url: URL; readonly body: unknown },
): ControlReply {
  const { method, url, body } = request;
  const answer = answers[`${method} ${url.pathname}`];
  if (answer === undefined) {
    throw new StartupError('ERR_USAGE', `a balancer does not know ${method} ${url.pathname}`, { status: 404 });
  }
  return answer(target, body, url.searchParams);
}

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new StartupError('ERR_USAGE', `the request is not understood: ${z.prettifyError(parsed.error)}`, {
    status: 400,
  });
}

/** @throws StartupError ERR_USAGE that names the nearest server */
function knownServer(balancer: Balancer, text: string): string {
  const parsed = parseServerAddress(text);
  const known = balancer.list().map(({ address }) => address);
  if (parsed.ok && known.includes(parsed.value)) return parsed.value;
  const near = nearestName(text, known);
  const remedy = near === undefined ? `; there are ${known.join(', ') || 'none'}` : `, did you mean ${near}?`;
  throw new StartupError('ERR_USAGE', `there is no server ${text}${remedy}`, { status: 404, server: text });
}
