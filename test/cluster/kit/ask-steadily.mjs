/**
 * Asks an API server 50 times a second whether it is ready, each time on a connection of its own, until its
 * standard input ends. argv: folder of certificates, port. Writes a line for each answer: ok, or what went wrong.
 */
import { get } from 'node:https';
import { identityOf } from './asking.mjs';

/** 50 times a second. Source: issue 4, "Done when". */
const everyMs = 20;
const [, , tls, port] = process.argv;
const options = {
  port: Number(port),
  host: '127.0.0.1',
  path: '/readyz',
  agent: false,
  ...identityOf(tls),
  timeout: 5000,
};
const tell = (line) => process.stdout.write(`${line}\n`);

function ask() {
  const request = get(options, (response) => {
    response.resume().on('end', () => tell(response.statusCode === 200 ? 'ok' : `status ${response.statusCode}`));
  });
  request.on('timeout', () => request.destroy(new Error('no answer within 5 s')));
  request.on('error', (error) => tell(error.message));
}

const timer = setInterval(ask, everyMs);
process.stdin.resume().on('end', () => clearInterval(timer));
