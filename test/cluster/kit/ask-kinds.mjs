/**
 * Asks an API server again and again for each of several lists, side by side, each on a kept connection of its own,
 * until its standard input ends. argv: folder of certificates, port, the paths. Writes a line of JSON for each answer.
 * Source of the rhythm: test/long/etcd-killed.test.ts.
 */
import { readFileSync } from 'node:fs';
import { Agent, get } from 'node:https';
import path from 'node:path';

const pauseMs = 50;
const withinMs = 1000;
const [, , tls, port, ...paths] = process.argv;
const identity = {
  ca: readFileSync(path.join(tls, 'server-ca.crt')),
  cert: readFileSync(path.join(tls, 'client-admin.crt')),
  key: readFileSync(path.join(tls, 'client-admin.key')),
};
let isOver = false;

/** Resolves with what went wrong, if anything did. */
function ask(agent, list) {
  return new Promise((resolve) => {
    const outgoing = get({ host: '127.0.0.1', port, path: list, agent });
    const limit = setTimeout(() => outgoing.destroy(new Error('no answer within 1 s')), withinMs);
    const end = (why) => {
      clearTimeout(limit);
      resolve(why);
    };
    outgoing.on('error', (error) => end(error.code ?? error.message));
    outgoing.on('response', (response) => {
      response.resume().on('error', (error) => end(error.code ?? error.message));
      response.on('end', () => end(response.statusCode === 200 ? undefined : `status ${response.statusCode}`));
    });
  });
}

async function steadily(list) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ...identity });
  while (!isOver) {
    const why = await ask(agent, list);
    process.stdout.write(
      `${JSON.stringify({ path: list, atMs: Date.now(), ...(why === undefined ? {} : { why }) })}\n`,
    );
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  agent.destroy();
}

process.stdin.resume().on('end', () => (isOver = true));
await Promise.all(paths.map(steadily));
