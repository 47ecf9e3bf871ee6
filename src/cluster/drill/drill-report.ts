/**
 * What a failover drill proves: a fold over what a client saw while a server was away. Pure.
 *
 * A request fails when its one retry does, too. A gap is the time between two answers of one kind:
 * what somebody who waits for it feels.
 */

export type RequestKind = 'read' | 'write';

export interface Sample {
  readonly kind: RequestKind;
  /** Milliseconds since the drill began. */
  readonly begunMs: number;
  readonly endedMs: number;
  readonly tries: number;
  /** Why the last try failed; absent: it was answered. */
  readonly error?: string | undefined;
}

export interface Leaders {
  readonly controllerManager: string | undefined;
  readonly scheduler: string | undefined;
}

export interface DrillFacts {
  readonly server: string;
  /** Of other API servers. */
  readonly others: readonly string[];
  readonly frozen: readonly string[];
  /** Since the drill began. */
  readonly awayFromMs: number;
  readonly awayUntilMs: number;
  readonly samples: readonly Sample[];
  readonly leaders: { readonly before: Leaders; readonly after: Leaders };
  /** Who must be seen no longer without an answer. */
  readonly boundMs: number;
}

export interface KindReport {
  readonly requests: number;
  readonly retried: number;
  readonly failed: number;
  readonly longestGapMs: number;
}

export interface DrillReport {
  readonly server: string;
  readonly others: readonly string[];
  readonly frozen: readonly string[];
  readonly awayMs: number;
  readonly boundMs: number;
  readonly reads: KindReport;
  readonly writes: KindReport;
  readonly leaders: DrillFacts['leaders'];
  /** The first of each kind of error, with how often. */
  readonly errors: readonly { readonly error: string; readonly count: number }[];
  /** What was exceeded; empty: all is proven. */
  readonly violations: readonly string[];
}

export function drillReport(facts: DrillFacts): DrillReport {
  const { server, others, frozen, samples, leaders, boundMs } = facts;
  const [reads, writes] = [kindReport(samples, 'read'), kindReport(samples, 'write')];
  return {
    server,
    others,
    frozen,
    awayMs: facts.awayUntilMs - facts.awayFromMs,
    boundMs,
    reads,
    writes,
    leaders,
    errors: errorsOf(samples),
    violations: [...violationsOf('read', reads, boundMs), ...violationsOf('write', writes, boundMs)],
  };
}

function kindReport(samples: readonly Sample[], kind: RequestKind): KindReport {
  const ofKind = samples.filter((sample) => sample.kind === kind);
  const answered = ofKind.filter(({ error }) => error === undefined).map(({ endedMs }) => endedMs);
  answered.sort((a, b) => a - b);
  const end = Math.max(0, ...ofKind.map(({ endedMs }) => endedMs));
  // From the first answer on; what comes before it is the time until the client ran.
  const gaps = [...answered, end].slice(1).map((endedMs, at) => endedMs - (answered[at] ?? endedMs));
  return {
    requests: ofKind.length,
    retried: ofKind.filter(({ tries }) => tries > 1).length,
    failed: ofKind.filter(({ error }) => error !== undefined).length,
    longestGapMs: answered.length === 0 ? end : Math.max(0, ...gaps),
  };
}

function violationsOf(kind: RequestKind, report: KindReport, boundMs: number): readonly string[] {
  const text = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  return [
    ...(report.requests === 0 ? [`no ${kind} was asked for`] : []),
    ...(report.longestGapMs > boundMs
      ? [`${text(report.longestGapMs)} without an answer to a ${kind}, and ${text(boundMs)} are allowed`]
      : []),
  ];
}

function errorsOf(samples: readonly Sample[]): DrillReport['errors'] {
  const counts = new Map<string, number>();
  for (const { error } of samples) if (error !== undefined) counts.set(error, (counts.get(error) ?? 0) + 1);
  return [...counts].map(([error, count]) => ({ error, count }));
}
