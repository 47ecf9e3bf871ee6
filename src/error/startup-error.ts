/**
 * The base of every error that leaves a room: a stable `code`, machine-readable `detail`, the
 * `cause` kept as it was. `message` is one line for people; the chain of causes is printed by
 * `render`, never folded into the message.
 */
import { errorCodes, type ErrorCode, type ExitCode } from './codes.ts';

/** What `JSON.stringify` gives for an error and its whole chain. */
export interface ErrorJson {
  readonly type: string;
  readonly code?: string;
  readonly message: string;
  readonly [detail: string]: unknown;
  readonly cause?: ErrorJson;
}

export class StartupError<Detail extends object = Record<string, unknown>> extends Error {
  override readonly name: string = 'StartupError';
  readonly code: ErrorCode;
  readonly detail: Detail;

  constructor(code: ErrorCode, message: string, detail: Detail, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.detail = detail;
  }

  get exitCode(): ExitCode {
    return errorCodes[this.code].exitCode;
  }

  toJSON(): ErrorJson {
    const { cause, message, code } = this;
    return {
      type: this.name,
      code,
      message,
      ...this.detail,
      ...(cause === undefined ? {} : { cause: errorToJson(cause) }),
    };
  }
}

/** Any thrown value in the shape of {@link StartupError.toJSON}, causes included. */
export function errorToJson(error: unknown): ErrorJson {
  if (error instanceof StartupError) return error.toJSON();
  if (error instanceof AggregateError) {
    return { type: error.name, message: error.message, errors: error.errors.map(errorToJson) };
  }
  if (error instanceof Error) {
    const { code } = error as NodeJS.ErrnoException;
    return {
      type: error.name,
      ...(code === undefined ? {} : { code }),
      message: error.message,
      ...(error.cause === undefined ? {} : { cause: errorToJson(error.cause) }),
    };
  }
  return { type: 'Error', message: String(error) };
}

/** The chain of an error from itself down to the root cause. */
export function causeChain(error: unknown): readonly unknown[] {
  const chain: unknown[] = [];
  let next: unknown = error;
  while (next !== undefined && !chain.includes(next)) {
    chain.push(next);
    next = next instanceof Error ? next.cause : undefined;
  }
  return chain;
}

/** The last error of the chain: what has to be mended. */
export function rootCause(error: unknown): unknown {
  return causeChain(error).at(-1);
}
