/** What the clients of an API server in this folder share. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

/** The administrator's, of a folder of certificates. */
export const identityOf = (tls) => ({
  ca: readFileSync(path.join(tls, 'server-ca.crt')),
  cert: readFileSync(path.join(tls, 'client-admin.crt')),
  key: readFileSync(path.join(tls, 'client-admin.key')),
});

/** Resolves when a request is answered to its end, with what went wrong, if anything did. */
export function outcomeOf(outgoing, { withinMs, isGood }) {
  return new Promise((resolve) => {
    const limit = setTimeout(() => outgoing.destroy(new Error(`no answer within ${withinMs} ms`)), withinMs);
    const end = (why) => {
      clearTimeout(limit);
      resolve(why);
    };
    outgoing.on('error', (error) => end(error.code ?? error.message));
    outgoing.on('response', (response) => {
      response.resume().on('error', (error) => end(error.code ?? error.message));
      response.on('end', () => end(isGood(response.statusCode) ? undefined : `status ${response.statusCode}`));
    });
  });
}
