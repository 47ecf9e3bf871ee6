/**
 * Asks an API server 20 times a second, each time on a connection of its own, every fourth time for an
 * idempotent write, and tries once more what has failed, until its standard input ends.
 * argv: folder of certificates, port, and if they are to be others: milliseconds for one try, tries, host,
 * milliseconds between two tries. Writes
 * a line of JSON for each request when it has its outcome.
 * Source of the rhythm and of the one retry: issue 5, "Done when".
 */
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import path from 'node:path';

const everyMs = 50;
const writeEvery = 4;
const [, , tls, port, withinMs = '3000', tries = '2', host = '127.0.0.1', pauseMs = '0'] = process.argv;
const identity = {
  host,
  port: Number(port),
  agent: false,
  ca: readFileSync(path.join(tls, 'server-ca.crt')),
  cert: readFileSync(path.join(tls, 'client-admin.crt')),
  key: readFileSync(path.join(tls, 'client-admin.key')),
};
const read = { method: 'GET', path: '/api/v1/namespaces/kube-system' };
const write = {
  method: 'PATCH',
  path: '/api/v1/namespaces/kube-system/configmaps/asked?fieldManager=asker&force=true',
  headers: { 'content-type': 'application/apply-patch+yaml' },
};
const written = (at) =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'asked', namespace: 'kube-system' },
    data: { at: String(at) },
  });

/** Resolves with what went wrong, if anything did. */
function attempt(what, body) {
  return new Promise((resolve) => {
    const outgoing = request({ ...identity, ...what });
    const limit = setTimeout(() => outgoing.destroy(new Error(`no answer within ${withinMs} ms`)), Number(withinMs));
    const end = (why) => {
      clearTimeout(limit);
      resolve(why);
    };
    outgoing.on('error', (error) => end(error.code ?? error.message));
    outgoing.on('response', (response) => {
      response.resume().on('error', (error) => end(error.code ?? error.message));
      response.on('end', () => end(response.statusCode < 300 ? undefined : `status ${response.statusCode}`));
    });
    outgoing.end(body);
  });
}

async function ask(at) {
  const begunMs = Date.now();
  const isWrite = at % writeEvery === writeEvery - 1;
  const errors = [];
  while (errors.length < Number(tries)) {
    const why = await attempt(isWrite ? write : read, isWrite ? written(at) : undefined);
    if (why === undefined) break;
    errors.push(`${why} after ${Date.now() - begunMs} ms`);
    if (pauseMs !== '0') await new Promise((resolve) => setTimeout(resolve, Number(pauseMs)));
  }
  const line = { kind: isWrite ? 'write' : 'read', begunMs, tookMs: Date.now() - begunMs, errors };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

let count = 0;
const timer = setInterval(() => void ask(count++), everyMs);
process.stdin.resume().on('end', () => clearInterval(timer));
