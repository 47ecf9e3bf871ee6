/** The configuration of one balancer: its schema, and the reader that names file, line and column of a mistake. */
import { isMap, isPair, isScalar, LineCounter, parseDocument, type Document } from 'yaml';
import * as z from 'zod';
import { StartupError } from '../error/startup-error.ts';
import { nearestName } from '../kernel/nearest.ts';
import { duration } from '../unit/scalars.ts';
import { defaultCheckPace } from './check-loop.ts';
import { defaultDialLimits } from './dial-race.ts';
import { defaultRules, policies } from './routing-state.ts';
import { parseServerAddress, serverOfUrl } from './server-address.ts';

const server = z.string().transform((text, context) => {
  const parsed = text.includes('://') ? serverOfUrl(text) : parseServerAddress(text);
  if (parsed.ok) return parsed.value;
  context.addIssue({ code: 'custom', message: parsed.error });
  return z.NEVER;
});

const listen = z.string().transform((text, context) => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match !== null && port <= 65_535) return { host: match[1] ?? match[2] ?? '', port };
  context.addIssue({ code: 'custom', message: `"${text}" is not host:port, like 127.0.0.1:6444` });
  return z.NEVER;
});

const file = z.string().startsWith('/', 'must be an absolute path');
const tlsFiles = {
  ca: file.optional(),
  cert: file.optional(),
  key: file.optional(),
  serverName: z.string().optional(),
};
const readyz = z.strictObject({ ...tlsFiles, exclude: z.array(z.string()).optional() });
const get = z.strictObject({
  path: z.string().startsWith('/', 'begins with /'),
  scheme: z.enum(['http', 'https']).default('https'),
  port: z.number().int().min(1).max(65_535).optional(),
  ...tlsFiles,
});

export const settingsSchema = z.strictObject({
  /** In metrics, logs and `k3s-lite lb --name`. */
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'has lower-case letters, digits and dashes'),
  listen,
  /** Tried when nothing of the list can be; where a node begins that knows one server alone. */
  default: server.optional(),
  servers: z
    .array(
      z.union([
        server.transform((address) => ({ address, weight: 1 })),
        z.strictObject({ address: server, weight: z.number().min(0).max(1000).default(1) }),
      ]),
    )
    .default([]),
  policy: z.enum(policies).default(defaultRules.policy),
  check: z.union([z.enum(['tcp', 'none']), z.strictObject({ readyz }), z.strictObject({ get })]).default('tcp'),
  checkEvery: duration.default(defaultCheckPace.everyMs),
  /** Of servers that carry connections; absent: like the others. */
  checkUsedEvery: duration.optional(),
  checkWithin: duration.default(defaultCheckPace.withinMs),
  checkSilences: z.number().int().min(1).max(100).default(defaultCheckPace.silences),
  dialStagger: duration.default(defaultDialLimits.staggerMs),
  dialWithin: duration.default(defaultDialLimits.attemptMs),
  dialBudget: duration.default(defaultDialLimits.budgetMs),
  /** How long a client is kept waiting while no server answers; absent: it is closed. */
  hold: duration.optional(),
  graceRemoved: duration.default(defaultRules.graces.removedMs),
  graceTakeover: duration.default(defaultRules.graces.takeoverMs),
  graceDrained: duration.default(defaultRules.graces.drainedMs),
  maxConnections: z.number().int().min(1).max(1_000_000).default(8192),
  /** What the heartbeats of this node show (`internal peers`); absent: checks and connections alone tell. */
  heartbeats: file.optional(),
  /** Where the list is kept over a restart; absent: nowhere. */
  store: file.optional(),
});
export type BalancerSettings = z.infer<typeof settingsSchema>;

/** @throws StartupError ERR_CONFIG with the place of the first mistake; `detail.mistakes` has all of them */
export function readSettings(text: string, file: string): BalancerSettings {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${String(line)}:${String(col)}`;
  };
  const [broken] = document.errors;
  if (broken !== undefined) throw mistake([`${at(broken.pos[0])}: ${broken.message.split('\n')[0] ?? ''}`]);
  const parsed = settingsSchema.safeParse(document.toJS() ?? {});
  if (parsed.success) return parsed.data;
  throw mistake(
    parsed.error.issues.flatMap(({ path, message, ...issue }) => {
      if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(document, at, [...path, key]));
      return [
        `${at(offsetOf(document, path))}: ${path.length === 0 ? '' : `${path.join('.')}: `}${reasonOf(issue, message)}`,
      ];
    }),
  );
}

type Issue = Pick<z.core.$ZodIssue, 'code'> & { readonly errors?: readonly (readonly z.core.$ZodIssue[])[] };

/** Of several shapes none fits: what was wrong with the first says most. */
function reasonOf({ code, errors }: Issue, message: string): string {
  return code === 'invalid_union' ? (errors?.flat()[0]?.message ?? message) : message;
}

function unknownKey(document: Document, at: (offset: number) => string, path: readonly PropertyKey[]): string {
  const key = String(path.at(-1));
  const near = nearestName(key, Object.keys(settingsSchema.shape));
  return `${at(offsetOf(document, path, true))}: unknown key "${key}"${near === undefined ? '' : `, did you mean ${near}?`}`;
}

function offsetOf(document: Document, path: readonly PropertyKey[], wantsKey = false): number {
  if (path.length === 0) return 0;
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (isMap(parent)) {
    const pair = parent.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === path.at(-1));
    if (pair === undefined) return offsetOf(document, path.slice(0, -1));
    const value = pair.value as { readonly range?: readonly number[] } | null;
    const key = pair.key as { readonly range?: readonly number[] };
    return (wantsKey ? key.range : (value?.range ?? key.range))?.[0] ?? 0;
  }
  const node = document.getIn(path, true) as { readonly range?: readonly number[] } | undefined;
  return node?.range?.[0] ?? offsetOf(document, path.slice(0, -1));
}

function mistake(mistakes: readonly string[]): StartupError<object> {
  return new StartupError('ERR_CONFIG', mistakes[0] ?? 'the configuration is not understood', { mistakes });
}
