/**
 * Asks an API server again and again for each of several lists, side by side, each on a kept connection of its own,
 * until its standard input ends. argv: folder of certificates, port, the paths. Writes a line of JSON for each answer.
 * Source of the rhythm: test/long/etcd-killed.test.ts.
 */
import { Agent, get } from 'node:https';
import { identityOf, outcomeOf } from './asking.mjs';

const pauseMs = 50;
const [, , tls, port, ...paths] = process.argv;
const identity = identityOf(tls);
const expected = { withinMs: 1000, isGood: (status) => status === 200 };
let isOver = false;

async function steadily(list) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ...identity });
  while (!isOver) {
    const why = await outcomeOf(get({ host: '127.0.0.1', port, path: list, agent }), expected);
    process.stdout.write(
      `${JSON.stringify({ path: list, atMs: Date.now(), ...(why === undefined ? {} : { why }) })}\n`,
    );
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  agent.destroy();
}

process.stdin.resume().on('end', () => (isOver = true));
await Promise.all(paths.map(steadily));
