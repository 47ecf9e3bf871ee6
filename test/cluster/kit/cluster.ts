/**
 * One data directory with its ports and its user, and the real program on it, as a person would
 * run it. Disposing ends whatever is alive, also after a failed test, and removes all files.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';
import { pathsOf, type Paths } from '../../../src/app/paths.ts';
import { statusSchema, type Status } from '../../../src/control/protocol.ts';
import { EventLog } from './event-log.ts';
import { freePorts } from './free-ports.ts';
import type { Installation } from './installation.ts';
import { endTraces, tracesOf } from './traces.ts';
import { ownUser, type User } from './user.ts';

/** A command that takes longer is killed, in milliseconds. */
const commandWithinMs = 60_000;

const portFlags = [
  ...['https-listen-port', 'etcd-client-port', 'etcd-peer-port', 'etcd-metrics-port'],
  ...['controller-manager-port', 'scheduler-port'],
] as const;

export interface Ended {
  /** 128 + n after signal n, as a shell says it. */
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface Up {
  readonly pid: number;
  readonly events: EventLog;
  readonly ended: Promise<Ended>;
  signal(name: NodeJS.Signals): void;
  /** A signal, and then its end. */
  interrupt(name?: NodeJS.Signals): Promise<Ended>;
}

export interface ClusterOptions {
  readonly installation: Installation;
  readonly user?: User;
}

export async function createCluster({ installation, user = ownUser }: ClusterOptions): Promise<Cluster> {
  const ports = await freePorts(portFlags.length);
  return new Cluster(installation, user, new Map(portFlags.map((flag, at) => [flag, ports[at] ?? 0])));
}

export class Cluster implements AsyncDisposable {
  readonly paths: Paths;
  readonly #installation: Installation;
  readonly #user: User;
  readonly #ports: ReadonlyMap<string, number>;
  readonly #base: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #children = new Set<ChildProcess>();

  constructor(installation: Installation, user: User, ports: ReadonlyMap<string, number>) {
    this.#installation = installation;
    this.#user = user;
    this.#ports = ports;
    this.#base = mkdtempSync(path.join(tmpdir(), 'k3s-lite-'));
    chownSync(this.#base, user.uid, user.gid);
    for (const name of ['home', 'run', 'data']) this.folder(name);
    this.#env = {
      PATH: process.env['PATH'] ?? '/usr/bin:/bin',
      HOME: path.join(this.#base, 'home'),
      XDG_RUNTIME_DIR: path.join(this.#base, 'run'),
      ...installation.env,
    };
    this.paths = pathsOf({ dataDir: path.join(this.#base, 'data'), env: this.#env, uid: user.uid });
  }

  port(flag: (typeof portFlags)[number]): number {
    return this.#ports.get(flag) ?? 0;
  }

  /** A folder of the user's own beside the data directory. */
  folder(name: string): string {
    const folder = path.join(this.#base, name);
    mkdirSync(folder, { recursive: true });
    chownSync(folder, this.#user.uid, this.#user.gid);
    return folder;
  }

  /** Writes unit files: YAML text, or what YAML would say. */
  unitFolder(name: string, units: Readonly<Record<string, unknown>>): string {
    const folder = this.folder(name);
    for (const [unit, content] of Object.entries(units)) {
      const file = path.join(folder, `${unit}.yaml`);
      writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content, undefined, 2));
    }
    return folder;
  }

  /** `up --json` in the foreground. Without arguments: the control plane. */
  up(args: readonly string[] = ['--disable-agent']): Up {
    const child = this.#spawn(['up', '--json', ...this.#placed(), ...this.portArgs(), ...args]);
    const events = new EventLog();
    const ended = collect(child, (line) => events.add(line));
    void ended.then(({ code, err }) => events.close(`up ended with code ${code} (${err.trim()})`));
    const signal = (name: NodeJS.Signals) => void child.kill(name);
    return {
      pid: child.pid ?? 0,
      events,
      ended,
      signal,
      async interrupt(name = 'SIGINT') {
        signal(name);
        return ended;
      },
    };
  }

  /** Runs one command of k3s-lite on this data directory to its end. */
  async run(command: string, ...args: readonly string[]): Promise<Ended> {
    return collect(this.#spawn([command, ...this.#placed(), ...args]));
  }

  async status(): Promise<Status> {
    const { out } = await this.run('status', '--json');
    return statusSchema.parse(JSON.parse(out));
  }

  /** The real kubectl as the administrator. */
  async kubectl(...args: readonly string[]): Promise<Ended> {
    const config = `--kubeconfig=${this.paths.dataDir}/k3s-lite.yaml`;
    return collect(this.#start([this.#installation.kubectl, config, ...args]));
  }

  portArgs(): readonly string[] {
    return [...this.#ports].flatMap(([flag, port]) => [`--${flag}`, String(port)]);
  }

  /** Everything that must be gone after a clean stop; see `tracesOf`. */
  async traces(): Promise<readonly string[]> {
    return tracesOf(this.paths, [...this.#ports.values()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A test that failed may have left a supervisor in the middle of anything: asked first, then killed.
    if (existsSync(this.paths.controlSocket)) await this.run('down', '--hurry').catch(() => undefined);
    for (const child of this.#children) child.kill('SIGKILL');
    endTraces(this.paths);
    for (const folder of [this.#base, this.paths.runDir])
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #placed(): readonly string[] {
    return ['--data-dir', this.paths.dataDir];
  }

  #spawn(args: readonly string[]): ChildProcess {
    return this.#start([process.execPath, this.#installation.cli, ...args]);
  }

  #start([program = '', ...args]: readonly string[]): ChildProcess {
    const { uid, gid } = this.#user;
    const child = spawn(program, args, {
      cwd: this.#base,
      env: this.#env,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(uid === ownUser.uid ? {} : { uid, gid }),
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }
}

/** @param onLine - takes lines of standard output; those that it refuses are kept as text */
async function collect(child: ChildProcess, onLine?: (line: string) => boolean): Promise<Ended> {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('internal error: no pipes');
  let [out, err] = ['', ''];
  stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  if (onLine === undefined) stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  else {
    createInterface({ input: stdout }).on('line', (line) => {
      if (!onLine(line)) out += `${line}\n`;
    });
  }
  const timer = onLine === undefined ? setTimeout(() => child.kill('SIGKILL'), commandWithinMs) : undefined;
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exit, signal) => resolve(exit ?? 128 + constants.signals[signal ?? 'SIGKILL']));
  });
  clearTimeout(timer);
  return { code, out, err };
}
