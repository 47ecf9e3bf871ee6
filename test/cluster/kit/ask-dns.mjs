/**
 * Asks a DNS server 20 times a second for the address of a name, each time from a port of its own, until its
 * standard input ends. argv: (folder of certificates), port, server, name. Writes a line for each question: ok, or
 * what went wrong.
 */
import { Resolver } from 'node:dns/promises';

const everyMs = 50;
/** A client's own is longer, and it asks again; here each question counts. */
const withinMs = 1000;
const [, , , port, server, name] = process.argv;

async function ask() {
  const resolver = new Resolver({ timeout: withinMs, tries: 1 });
  resolver.setServers([`${server}:${port}`]);
  const line = await resolver.resolve4(name).then(
    () => 'ok',
    (error) => error.code ?? error.message,
  );
  process.stdout.write(`${line}\n`);
}

const timer = setInterval(() => void ask(), everyMs);
process.stdin.resume().on('end', () => clearInterval(timer));
