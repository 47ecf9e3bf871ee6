/** A client that asks 20 times a second and tries once more. */
import * as z from 'zod';
import { clientProcess } from './client-process.ts';

const answerSchema = z.object({
  kind: z.enum(['read', 'write']),
  begunMs: z.number(),
  tookMs: z.number(),
  /** Of its tries; two: it has failed. */
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
  /** Of each that failed twice, one line. */
  readonly failed: readonly string[];
  /** The longest that one request took, its second try included. */
  readonly slowestMs: number;
  /** The longest between two good answers of a kind. */
  readonly longestGapMs: Readonly<Record<Answer['kind'], number>>;
  /** For the test's output. */
  readonly text: string;
}

export interface RetryingClientOptions {
  /** With the cluster's authority and the administrator's certificate. */
  readonly tls: string;
  readonly port: number;
  /** A command that becomes the client: into another network. */
  readonly enter: readonly string[];
}

export function retryingClient({ tls, port, enter }: RetryingClientOptions): RetryingClient {
  const answers: Answer[] = [];
  const client = clientProcess({
    script: 'ask-and-retry.mjs',
    tls,
    port,
    enter,
    onLine: (line) => answers.push(answerSchema.parse(JSON.parse(line))),
  });
  return {
    asked: () => answers.length,
    async end() {
      await client.end();
      return outcomeOf(answers);
    },
    [Symbol.dispose]: client[Symbol.dispose],
  };
}

function outcomeOf(answers: readonly Answer[]): Outcome {
  const retried = answers.filter(({ errors }) => errors.length > 0).length;
  const failed = answers
    .filter(({ errors }) => errors.length > 1)
    .map(({ kind, errors }) => `${kind}: ${errors.join(', ')}`);
  const slowestMs = Math.max(0, ...answers.map(({ tookMs }) => tookMs));
  const longestGapMs = { read: gapOf(answers, 'read'), write: gapOf(answers, 'write') };
  const text = `${String(answers.length)} asked, ${String(retried)} tried twice, ${String(failed.length)} failed, slowest ${String(slowestMs)} ms`;
  return { requests: answers.length, retried, failed, slowestMs, longestGapMs, text };
}

function gapOf(answers: readonly Answer[], kind: Answer['kind']): number {
  const goodMs = answers
    .filter((one) => one.kind === kind && one.errors.length < 2)
    .map(({ begunMs, tookMs }) => begunMs + tookMs)
    .sort((a, b) => a - b);
  return Math.max(0, ...goodMs.slice(1).map((atMs, before) => atMs - (goodMs[before] ?? atMs)));
}
