/** Reads what a stranger sends, up to a limit. */
import type { IncomingMessage } from 'node:http';

/**
 * The body of a request as UTF-8; undefined when it has more than `maxBytes`. The request stays open
 * then, for the answer.
 *
 * @throws when the connection breaks off
 */
export async function bodyText(request: IncomingMessage, maxBytes: number): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
