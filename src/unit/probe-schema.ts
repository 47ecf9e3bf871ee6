/** How a unit file says what "ready" and "healthy" mean. The probes themselves are in probe/. */
import * as z from 'zod';
import { duration } from './scalars.ts';

const tls = {
  ca: z.string().optional().describe('PEM file of the certificate authority. Omitted: the system’s.'),
  cert: z.string().optional().describe('PEM file of the client certificate.'),
  key: z.string().optional().describe('PEM file of the client key.'),
  serverName: z.string().optional().describe('Name expected in the server’s certificate, if not the host.'),
};

/** Source: RFC 9110, 5.1 and 5.5. */
const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'a header name has letters, digits and dashes');
const headerValue = z.string().regex(/^[\t\u0020-\u007E\u0080-\u00FF]*$/, 'a header value is one line of Latin-1');

const request = {
  url: z.string().describe('Where to send a GET request.'),
  status: z.number().int().min(100).max(599).optional().describe('The one status that passes (default: any 2xx).'),
  body: z.string().optional().describe('Regular expression that the response body must match.'),
  headers: z.record(headerName, headerValue).optional().describe('Request headers.'),
  exclude: z
    .array(z.string())
    .optional()
    .describe('Kubernetes checks left out of a `/readyz` or `/livez` request (`?exclude=`).'),
};

const httpSpec = z.strictObject(request);
const httpsSpec = z.strictObject({ ...request, ...tls });
const grpcSpec = z.strictObject({
  address: z.string().describe('host:port, or unix:///path.'),
  service: z.string().optional().describe('Service name sent to grpc.health.v1.Health/Check (default: empty).'),
  cri: z.boolean().optional().describe('Call runtime.v1.RuntimeService/Version (CRI) instead of the health service.'),
  ...tls,
});

export type HttpSpec = z.output<typeof httpSpec>;
export type HttpsSpec = z.output<typeof httpsSpec>;
export type GrpcSpec = z.output<typeof grpcSpec>;

/** Exactly one key is set: {@link probeKindOf} tells which. */
export interface ProbeSpec {
  notify?: true | undefined;
  http?: HttpSpec | undefined;
  https?: HttpsSpec | undefined;
  tcp?: string | undefined;
  unix?: string | undefined;
  grpc?: GrpcSpec | undefined;
  exec?: string[] | undefined;
  file?: string | undefined;
  log?: string | undefined;
  all?: ProbeSpec[] | undefined;
  any?: ProbeSpec[] | undefined;
}

const kinds = {
  notify: z.literal(true).optional().describe('The process says so: sd_notify READY=1 on $NOTIFY_SOCKET.'),
  http: httpSpec.optional().describe('An HTTP GET is answered with 2xx.'),
  https: httpsSpec
    .optional()
    .describe('An HTTPS GET is answered with 2xx; `/readyz?verbose` is parsed into its failed checks.'),
  tcp: z.string().optional().describe('A TCP connection to host:port is accepted.'),
  unix: z.string().optional().describe('A connection to this unix socket is accepted.'),
  grpc: grpcSpec.optional().describe('The gRPC health service answers SERVING (or CRI `Version` answers).'),
  exec: z.array(z.string()).min(1).optional().describe('A program (no shell) that exits with 0.'),
  file: z.string().optional().describe('This file exists.'),
  log: z.string().optional().describe('Regular expression that a line of the unit’s output matches.'),
};

export type ProbeKind = keyof ProbeSpec;
export const probeKinds = [...Object.keys(kinds), 'all', 'any'] as readonly ProbeKind[];

/** The one probe kind that is set, or undefined when none or several are. */
export function probeKindOf(spec: ProbeSpec): ProbeKind | undefined {
  const set = probeKinds.filter((kind) => spec[kind] !== undefined);
  return set.length === 1 ? set[0] : undefined;
}

const oneKind = { error: `needs exactly one of ${probeKinds.join(', ')}` };
const hasOneKind = (spec: ProbeSpec) => probeKindOf(spec) !== undefined;

const probeShape = {
  ...kinds,
  get all() {
    return z.array(probeSchema).min(1).optional().describe('All of these pass.');
  },
  get any() {
    return z.array(probeSchema).min(1).optional().describe('One of these passes.');
  },
};

export const probeSchema: z.ZodType<ProbeSpec> = z.lazy(() => z.strictObject(probeShape).refine(hasOneKind, oneKind));

export const readySchema = z
  .strictObject({
    ...kinds,
    all: z.array(probeSchema).min(1).optional().describe('All of these pass.'),
    any: z.array(probeSchema).min(1).optional().describe('One of these passes.'),
    timeout: duration.optional().describe('How long one attempt may take (default 2s).'),
    successes: z.number().int().min(1).optional().describe('Passes in a row that are needed (default 1).'),
  })
  .refine(hasOneKind, oneKind);

export const healthSchema = z
  .strictObject({
    ...kinds,
    all: z.array(probeSchema).min(1).optional().describe('All of these pass.'),
    any: z.array(probeSchema).min(1).optional().describe('One of these passes.'),
    every: duration.optional().describe('Time between two checks (default 5s).'),
    timeout: duration.optional().describe('How long one check may take (default 2s).'),
    failures: z.number().int().min(1).optional().describe('Failures in a row that count (default 3).'),
    successes: z.number().int().min(1).optional().describe('Passes in a row that make it healthy again (default 1).'),
    onFailure: z
      .enum(['mark', 'restart'])
      .optional()
      .describe('`mark`: only shown as unhealthy (default). `restart`: the process is restarted.'),
  })
  .refine(hasOneKind, oneKind);

export type HealthSpec = z.output<typeof healthSchema>;
