/** The port of all checks: one question, "is it ready?", asked once per `check`. */

export interface Probe {
  /** For people and errors: "https /readyz", "tcp 127.0.0.1:2379", "notify". */
  describe(): string;
  /**
   * Resolves when the check passes.
   *
   * @throws {@link ProbeFailure} (or any Error) with one line that says what is missing; the
   *   signal's reason when it aborts
   */
  check(signal: AbortSignal): Promise<void>;
  /** Calls `wake` whenever a new attempt is worth while: a notify message, a log line, a file event. */
  onHint?(wake: (source: string) => void): Disposable;
  /** How often asking is worth while during a start; absent means the general rhythm of `untilReady`. */
  readonly pace?: ProbePace;
}

/**
 * `eager`: a cheap check without hints; delays grow only to `capMs` for the first `forMs`, then on to
 * the general cap. `event`: its hints tell all that can change, so it is asked again only for safety.
 */
export type ProbePace =
  | {
      readonly kind: 'eager';
      readonly capMs: number;
      readonly forMs: number;
      /** The wait after an attempt is at least this many times its length (default 1). */
      readonly restRatio?: number | undefined;
      /** The wait is at least this share of the time since the first attempt (default 0): what starts for seconds is not asked a hundred times. */
      readonly lateShare?: number | undefined;
    }
  | { readonly kind: 'event' };

interface ProbeFailureOptions {
  readonly retry?: boolean;
  readonly hint?: string | undefined;
  readonly isWatched?: boolean;
  readonly cause?: unknown;
}

/** A check that did not pass. */
export class ProbeFailure extends Error {
  override readonly name = 'ProbeFailure';
  /** False: no later attempt of this generation can pass. */
  readonly retry: boolean;
  /** What to do about it. */
  readonly hint: string | undefined;
  /** What is missing is being watched for: the probe hints when it comes, and asking before has little sense. */
  readonly isWatched: boolean;

  constructor(message: string, options: ProbeFailureOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.retry = options.retry ?? true;
    this.hint = options.hint;
    this.isWatched = options.isWatched ?? false;
  }
}
