/** Other supervisors of the same kind, made from their own source, beside which graphs are measured. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import path from 'node:path';
import { quoted } from './graphs.mjs';
import { cache, root, Skip } from './place.mjs';

/**
 * process-compose in the version that bench/neighbours/process-compose/go.mod pins, compiled once as
 * its own Makefile does it. The first time takes minutes, and its modules are downloaded.
 *
 * @param {(text: string) => void} say
 * @returns {string} the program
 * @throws {Skip} when it cannot be built
 */
export function processCompose(say) {
  const source = path.join(root, 'bench/neighbours/process-compose');
  const key = createHash('sha256');
  for (const file of ['go.mod', 'go.sum']) key.update(readFileSync(path.join(source, file)));
  const program = path.join(cache, key.digest('hex').slice(0, 12), 'process-compose');
  if (existsSync(program)) return program;
  say('process-compose is built, once');
  mkdirSync(path.dirname(program), { recursive: true });
  const part = `${program}-${process.pid}`;
  const argv = ['build', '-trimpath', '-ldflags=-s -w', '-o', part, 'github.com/f1bonacc1/process-compose'];
  try {
    execFileSync('go', argv, { cwd: source, env: { ...process.env, CGO_ENABLED: '0' }, stdio: 'pipe' });
  } catch (error) {
    const said = String(error.stderr ?? error.message).trim();
    throw new Skip(`process-compose cannot be built: ${said.split('\n').at(-1)}`);
  }
  renameSync(part, program);
  return program;
}

/**
 * Its command line and environment for a graph, with all off that a start does not need: no terminal
 * interface, no server, no file of variables, no word of its log below an error. It stops in order, as k3s-lite does.
 *
 * @returns {{argv: string[], env: Record<string, string>}}
 */
export function processComposeCommand(program, project, logFile) {
  const off = ['-t=false', '--no-server', '--disable-dotenv', '--ordered-shutdown'];
  const env = { PC_LOG_LEVEL: 'error', COMPOSE_SHELL: 'sh' };
  return { argv: [program, 'up', ...off, '-L', logFile, '-f', project], env };
}

/**
 * A graph as its project file. `entrypoint` starts a unit itself, and is its fastest; the usual `command` puts a
 * shell before each.
 * `process_started` is the fastest condition it has: it opens just before the fork, so that a dependent
 * may even run first. The others wait for a probe (once a second at most), a line of output or the end.
 *
 * @param {import('./graphs.mjs').Node[]} nodes @param {(node: import('./graphs.mjs').Node) => string[]} run argv of a unit
 * @param {{throughShell?: boolean}} [how]
 * @returns {string} JSON, which is YAML
 */
export function processComposeProject(nodes, run, { throughShell = false } = {}) {
  const processes = nodes.map((node) => [
    node.name,
    {
      ...(throughShell ? { command: quoted(run(node)) } : { entrypoint: run(node) }),
      depends_on: Object.fromEntries(node.needs.map((name) => [name, { condition: 'process_started' }])),
    },
  ]);
  return JSON.stringify({ version: '0.5', processes: Object.fromEntries(processes) });
}
