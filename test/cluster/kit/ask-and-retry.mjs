/**
 * Asks an API server 20 times a second, each time on a connection of its own, every fourth time for an
 * idempotent write, and tries once more what has failed, until its standard input ends.
 * argv: folder of certificates, port, and if they are to be others: milliseconds for one try, tries, host,
 * milliseconds between two tries. Writes
 * a line of JSON for each request when it has its outcome.
 * Source of the rhythm and of the one retry: issue 5, "Done when".
 */
import { request } from 'node:https';
import { identityOf, outcomeOf } from './asking.mjs';

const everyMs = 50;
const writeEvery = 4;
const [, , tls, port, withinMs = '3000', tries = '2', host = '127.0.0.1', pauseMs = '0'] = process.argv;
const identity = {
  host,
  port: Number(port),
  agent: false,
  ...identityOf(tls),
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

const expected = { withinMs: Number(withinMs), isGood: (status) => status < 300 };

function attempt(what, body) {
  const outgoing = request({ ...identity, ...what });
  outgoing.end(body);
  return outcomeOf(outgoing, expected);
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
