/** What an attempt's failure says in one line. */
import { ProbeFailure } from './probe.ts';

const maxLength = 200;

/** "ECONNREFUSED", "500 [-]etcd failed", "CERT_HAS_EXPIRED: certificate has expired". Never empty. */
export function outcomeOf(failure: unknown): string {
  return oneLine(textOf(failure)) || 'failed without saying why';
}

/** The first line of `text`, without control characters, cut to a length that fits a terminal. */
export function oneLine(text: string): string {
  const line = text
    .trim()
    .split('\n', 1)[0]
    // Output of other programs: colours and cursor movements must not reach the user's terminal.
    ?.replaceAll(/\u001B\[[0-9;?]*[A-Za-z]|[\u0000-\u001F\u007F-\u009F]/g, '');
  if (line === undefined) return '';
  return line.length > maxLength ? `${line.slice(0, maxLength - 1)}…` : line;
}

function textOf(failure: unknown): string {
  if (failure instanceof ProbeFailure) return failure.message;
  // Several addresses of one name were tried, each with its own error; the first is as good as any.
  if (failure instanceof AggregateError && failure.errors.length > 0) return textOf(failure.errors[0]);
  if (!(failure instanceof Error)) return String(failure);
  const { code, syscall, reason } = failure as NodeJS.ErrnoException & { readonly reason?: unknown };
  if (code === undefined) return failure.message;
  // OpenSSL's messages are long and full of numbers; its reason says the same.
  if (code.startsWith('ERR_SSL') && typeof reason === 'string') return `TLS: ${reason}`;
  // A system call's message repeats code and address, which the check's description has already.
  if (syscall !== undefined) return code;
  return failure.message.includes(code) ? failure.message : `${code}: ${failure.message}`;
}
