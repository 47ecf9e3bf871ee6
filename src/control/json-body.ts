/** The JSON body of a request on a control socket. */
import type { IncomingMessage } from 'node:http';
import { StartupError } from '../error/startup-error.ts';
import { bodyText } from '../kernel/request-body.ts';

/**
 * Undefined if it has none.
 *
 * @throws StartupError ERR_USAGE, with the HTTP status in its detail: it is too long, or no JSON
 */
export async function jsonBody(request: IncomingMessage, maxBytes: number): Promise<unknown> {
  const text = await bodyText(request, maxBytes);
  if (text === undefined) {
    throw new StartupError('ERR_USAGE', `a request may have ${String(maxBytes)} bytes`, { status: 413 });
  }
  if (text === '') return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new StartupError('ERR_USAGE', 'the request is not understood: its body is no JSON', { status: 400 });
  }
}
