/** A client that asks 20 times a second and tries again what has failed. */
import * as z from 'zod';
import { clientProcess } from './client-process.ts';

const answerSchema = z.object({
  kind: z.enum(['read', 'write']),
  begunMs: z.number(),
  tookMs: z.number(),
  /** Of its tries; as many as it has: it has failed. */
  errors: z.array(z.string()),
});
export type Answer = z.infer<typeof answerSchema>;

export interface RetryingClient extends Disposable {
  /** How many requests have their outcome. */
  asked(): number;
  /** Asks no more. */
  end(): Promise<Outcome>;
}

export interface Outcome {
  readonly requests: number;
  readonly retried: number;
  /** Of each whose tries have all failed, one line. */
  readonly failed: readonly string[];
  /** The longest that one request took, all its tries included. */
  readonly slowestMs: number;
  /** The longest between two good answers of a kind. */
  readonly longestGapMs: Readonly<Record<Answer['kind'], number>>;
  readonly slowestOf: Readonly<Record<Answer['kind'], number>>;
  /** For the test's output. */
  readonly text: string;
}

export interface RetryingClientOptions {
  /** With the cluster's authority and the administrator's certificate. */
  readonly tls: string;
  /** This machine itself, if it is not said. */
  readonly host?: string;
  readonly port: number;
  /** A command that becomes the client: into another network. */
  readonly enter: readonly string[];
  /** For one try. */
  readonly withinMs?: number;
  readonly tries?: number;
  /** Between two tries: where nobody listens, each is over at once. */
  readonly pauseMs?: number;
}

export function retryingClient(options: RetryingClientOptions): RetryingClient {
  const { tls, host = '127.0.0.1', port, enter, withinMs = 3_000, tries = 2, pauseMs = 0 } = options;
  const answers: Answer[] = [];
  const client = clientProcess({
    script: 'ask-and-retry.mjs',
    tls,
    port,
    more: [String(withinMs), String(tries), host, String(pauseMs)],
    enter,
    onLine: (line) => answers.push(answerSchema.parse(JSON.parse(line))),
  });
  return {
    asked: () => answers.length,
    async end() {
      await client.end();
      return outcomeOf(answers, tries);
    },
    [Symbol.dispose]: client[Symbol.dispose],
  };
}

function outcomeOf(answers: readonly Answer[], tries: number): Outcome {
  const retried = answers.filter(({ errors }) => errors.length > 0).length;
  const failed = answers
    .filter(({ errors }) => errors.length >= tries)
    .map(({ kind, errors }) => `${kind}: ${errors.join(', ')}`);
  const slowest = (of: readonly Answer[]) => Math.max(0, ...of.map(({ tookMs }) => tookMs));
  const slowestMs = slowest(answers);
  const slowestOf = {
    read: slowest(answers.filter(({ kind }) => kind === 'read')),
    write: slowest(answers.filter(({ kind }) => kind === 'write')),
  };
  const longestGapMs = { read: gapOf(answers, 'read', tries), write: gapOf(answers, 'write', tries) };
  const text = `${String(answers.length)} asked, ${String(retried)} tried again, ${String(failed.length)} failed, slowest ${String(slowestMs)} ms`;
  return { requests: answers.length, retried, failed, slowestMs, slowestOf, longestGapMs, text };
}

function gapOf(answers: readonly Answer[], kind: Answer['kind'], tries: number): number {
  const goodMs = answers
    .filter((one) => one.kind === kind && one.errors.length < tries)
    .map(({ begunMs, tookMs }) => begunMs + tookMs)
    .sort((a, b) => a - b);
  return Math.max(0, ...goodMs.slice(1).map((atMs, before) => atMs - (goodMs[before] ?? atMs)));
}
