/** A scene for proxies: servers that echo, haproxy or our balancer before them, and load; each with a core of its own. */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { atEnd, cli } from './place.mjs';

/** Of a process's time in /proc. Source: proc(5), sysconf(_SC_CLK_TCK). */
const tickMs = 10;

/** Servers, proxies and load, and the end of all of them. */
export class Scene {
  #folder;
  #outside;
  #undo = [];
  #count = 0;

  constructor(folder, outside) {
    this.#folder = folder;
    this.#outside = outside;
  }

  async server() {
    const child = this.#spawn('1', [this.#outside, 'echo', '127.0.0.1:0']);
    const address = await firstLine(child);
    return { child, address };
  }

  async load(kind, address, seconds, count, ...more) {
    const words = [kind, address, seconds, count, ...more].map(String);
    const child = this.#spawn('1', [this.#outside, 'load', ...words]);
    return JSON.parse(await lastLine(child));
  }

  async haproxy(...servers) {
    const port = await freePort();
    const file = this.#file('haproxy.cfg', [
      'global',
      '  nbthread 1',
      '  maxconn 9000',
      'defaults',
      '  mode tcp',
      '  timeout connect 5s',
      '  timeout client 1h',
      '  timeout server 1h',
      '  option redispatch 1',
      'frontend all',
      `  bind 127.0.0.1:${port}`,
      '  default_backend servers',
      'backend servers',
      ...servers.map(
        ({ address }, at) =>
          `  server s${at} ${address} check inter 1s fall 2 on-marked-down shutdown-sessions${at > 0 ? ' backup' : ''}`,
      ),
    ]);
    const child = this.#spawn('0', ['haproxy', '-db', '-f', file]);
    await untilAnswered(`127.0.0.1:${port}`, this);
    return { child, address: `127.0.0.1:${port}`, pid: child.pid };
  }

  async ours({ policy = 'sticky' }, ...servers) {
    const port = await freePort();
    const file = this.#file('lb.yaml', [
      'name: bench',
      `listen: 127.0.0.1:${port}`,
      `servers: [${servers.map(({ address }) => `"${address}"`).join(', ')}]`,
      'maxConnections: 9000',
      `policy: ${policy}`,
    ]);
    const dataDir = path.join(this.#folder, `data${this.#count}`);
    // It is killed, and leaves it.
    atEnd(() => rmSync(runDirOf(dataDir), { recursive: true, force: true }));
    const argv = [process.execPath, cli, 'internal', 'balancer', '--data-dir', dataDir, '--config', file];
    const child = this.#spawn('0', argv);
    await untilAnswered(`127.0.0.1:${port}`, this);
    return {
      child,
      address: `127.0.0.1:${port}`,
      pid: child.pid,
      /** The whole list, as whoever discovers servers hands it over. */
      update: (list) => control(dataDir, '/v1/servers', { servers: list.map((each) => ({ address: each.address })) }),
      events: async () => (await control(dataDir, '/v1/events')).events,
    };
  }

  /** Of a proxy of its own: the server that carries the connections is killed, or swallowed by a rule of the firewall. */
  async failover(name) {
    const arm = async (begin) => {
      const [one, other] = [await this.server(), await this.server()];
      const proxy = await (name === 'haproxy' ? this.haproxy(one, other) : this.ours({}, one, other));
      await sleep(2500); // both checked, one of them chosen
      // One that stays, so that it can be seen which server has the connections.
      const staying = this.load('words', proxy.address, 6, 1);
      const seeking = this.load('seek', proxy.address, 6, 1);
      await sleep(1000);
      const undo = begin(await this.#carrier(proxy, [one, other]));
      const { LongestGapMs } = await seeking;
      undo?.();
      await staying;
      for (const { child } of [proxy, one, other]) child.kill('SIGKILL');
      return LongestGapMs;
    };
    const killed = await arm(({ child }) => void child.kill('SIGKILL'));
    const blackHoled = process.getuid() === 0 ? await arm(swallow) : undefined;
    return { killed, blackHoled };
  }

  /** The server to which the proxy has most connections; a few are checks. */
  async #carrier({ child }, servers) {
    const seen = new Map(servers.map((server) => [server, 0]));
    for (let look = 0; look < 5; look++) {
      const { stdout } = spawnSync('ss', ['-Htnp', 'state', 'all'], { encoding: 'utf8' });
      for (const line of stdout.split('\n').filter((each) => each.includes(`pid=${child.pid},`))) {
        const server = servers.find(({ address }) => line.split(/\s+/).at(4) === address);
        if (server !== undefined) seen.set(server, seen.get(server) + 1);
      }
    }
    const [[carrier]] = [...seen].sort(([, a], [, b]) => b - a);
    return carrier;
  }

  /** @param meanwhile begins when all of them are there, `seconds` before each is asked again */
  async hold({ address, pid }, count, { seconds = 2, meanwhile = async () => undefined } = {}) {
    const child = this.#spawn('1', [this.#outside, 'load', 'hold', address, String(seconds), String(count)]);
    const lines = createInterface({ input: child.stdout });
    await once(lines, 'line');
    const rssMb = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
    const [[last], during] = await Promise.all([once(lines, 'line'), meanwhile()]);
    return { ...JSON.parse(last), rssMb, during };
  }

  async end() {
    for (const undo of this.#undo) undo();
  }

  #file(name, lines) {
    const file = path.join(this.#folder, `${this.#count++}-${name}`);
    writeFileSync(file, `${lines.join('\n')}\n`);
    return file;
  }

  #spawn(core, argv) {
    const options = { stdio: ['ignore', 'pipe', 'ignore'] };
    const child = spawn('taskset', ['-c', core, ...argv], options);
    const undo = atEnd(() => void child.kill('SIGKILL'));
    this.#undo.push(undo);
    return child;
  }
}

/** Nothing that is sent to it arrives any more. */
function swallow({ address }) {
  const port = address.split(':').at(-1);
  const table = `k3s-lite-bench-${process.pid}`;
  const remove = () => void spawnSync('nft', ['delete', 'table', 'inet', table]);
  const rules = `table inet ${table} {\n chain cut {\n type filter hook output priority 0\n tcp dport ${port} drop\n tcp sport ${port} drop\n }\n}\n`;
  if (spawnSync('nft', ['-f', '-'], { input: rules }).status !== 0)
    throw new Error('nft refuses the rule of the black hole');
  return atEnd(remove);
}

/** Source: src/app/paths.ts, for root. */
const runDirOf = (dataDir) =>
  path.join('/run/k3s-lite', createHash('sha256').update(dataDir).digest('hex').slice(0, 12));

/** Asks our balancer on its control socket; with a body it is told something. */
async function control(dataDir, where, body) {
  if (process.getuid() !== 0) throw new Error('the control socket is looked for as root only');
  const socketPath = path.join(runDirOf(dataDir), 'lb/bench.sock');
  const outgoing = request({ socketPath, path: where, method: body === undefined ? 'GET' : 'POST' });
  outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  const [response] = await once(outgoing, 'response');
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  if (response.statusCode !== 200) throw new Error(`the balancer answers ${response.statusCode}: ${text}`);
  return JSON.parse(text);
}

async function untilAnswered(address, scene) {
  for (let attempt = 0; attempt < 100; attempt++) {
    const { Done } = await scene.load('connections', address, 0.1, 1);
    if (Done > 0) return;
    await sleep(50);
  }
  throw new Error(`nobody answers at ${address}`);
}

async function freePort() {
  const { createServer } = await import('node:net');
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

const firstLine = async (child) => (await once(createInterface({ input: child.stdout }), 'line'))[0];

async function lastLine(child) {
  let last = '';
  for await (const line of createInterface({ input: child.stdout })) last = line;
  return last;
}

/** Milliseconds of user and system time of a process. Source: proc(5), fields 14 and 15. */
export function cpuMsOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}
