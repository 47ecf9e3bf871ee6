/** The way back: an error from its JSON form, as it comes over the control socket. */
import { errorCodes, type ErrorCode } from './codes.ts';
import { StartupError, type ErrorJson } from './startup-error.ts';

/** True for what {@link errorToJson} gives. */
export function isErrorJson(value: unknown): value is ErrorJson {
  if (typeof value !== 'object' || value === null || value instanceof Error) return false;
  const { type, message } = value as Partial<ErrorJson>;
  return typeof type === 'string' && typeof message === 'string';
}

/** Deeper is no honest chain: the graph has no cycles, and what comes from a socket may be anything. */
const maxDepth = 200;

/** An error with the same code, message, detail and chain. A code that is not known here stays in `detail`. */
export function errorFromJson(json: ErrorJson, depth = 0): Error {
  const { type, code, message, cause, errors, ...detail } = json;
  const options = isErrorJson(cause) && depth < maxDepth ? { cause: errorFromJson(cause, depth + 1) } : undefined;
  if (Array.isArray(errors) && code === undefined) {
    return new AggregateError(
      errors.filter(isErrorJson).map((each) => errorFromJson(each, depth + 1)),
      message,
    );
  }
  if (code !== undefined && code in errorCodes) return new StartupError(code as ErrorCode, message, detail, options);
  const error = new Error(message, options);
  error.name = type;
  return code === undefined ? error : Object.assign(error, { code });
}
