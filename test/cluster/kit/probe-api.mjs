/**
 * Reads and writes one object of an API server, one request after the other on kept connections, until
 * its standard input ends. argv: folder of certificates, port. Writes a line of JSON for each request.
 * Source of the rhythm: K3s's users see a hung request after their own limit; here 3 s, and 50 ms between two.
 */
import { Agent, request } from 'node:https';
import path from 'node:path';
import { identityOf } from './asking.mjs';

const pauseMs = 50;
const withinMs = 3000;
const object = '/api/v1/namespaces/default/configmaps/probed';
const [, , tls, port] = process.argv;
const identity = identityOf(tls);
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
let isOver = false;

function call(agent, method, where, type, body) {
  return new Promise((resolve) => {
    const headers = body === undefined ? {} : { 'content-type': type, 'content-length': Buffer.byteLength(body) };
    const outgoing = request({ host: '127.0.0.1', port, path: where, method, agent, headers, timeout: withinMs });
    const limit = setTimeout(() => outgoing.destroy(new Error('no answer within 3 s')), withinMs);
    const end = (why) => {
      clearTimeout(limit);
      resolve(why);
    };
    outgoing.on('response', (response) => {
      response.resume();
      response.on('end', () => end(response.statusCode < 300 ? undefined : `status ${response.statusCode}`));
      response.on('error', (error) => end(error.message));
    });
    outgoing.on('error', (error) => end(error.message));
    outgoing.end(body);
  });
}

async function steadily(kind, ask) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ...identity });
  for (let count = 0; !isOver; count += 1) {
    const startMs = Date.now();
    const why = await ask(agent, count);
    tell({ kind, startMs, endMs: Date.now(), ...(why === undefined ? {} : { why }) });
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  agent.destroy();
}

process.stdin.resume().on('end', () => (isOver = true));
const made = JSON.stringify({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'probed' },
  data: { count: '0' },
});
// It may be there already: of another prober.
await call(new Agent(identity), 'POST', path.dirname(object), 'application/json', made);
await Promise.all([
  steadily('read', (agent) => call(agent, 'GET', object)),
  steadily('write', (agent, count) =>
    call(
      agent,
      'PATCH',
      object,
      'application/merge-patch+json',
      JSON.stringify({ data: { [`of-${port}`]: String(count) } }),
    ),
  ),
]);
