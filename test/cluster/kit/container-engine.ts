/**
 * A containerd of the test's own (root, state, sockets, no CRI) and containers in it. Disposing ends and
 * removes everything, also after a failed test: containers, snapshots, mounts, shims, cgroups, namespace.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, vi } from 'vitest';
import { findComponents } from '../../../src/component/find.ts';
import { isUnder, readMounts } from '../../../src/cluster/mountinfo.ts';
import { run, type Ran } from '../rig/run.ts';
import { privilegedSpec } from './container-spec.ts';
import { makeNodeNetwork } from './node-network.ts';

/** What differs from a container's image. */
export interface RunOptions {
  /** Further words behind the image's entrypoint. */
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  readonly volumes?: Readonly<Record<string, string>>;
  /** Do not read what it prints. */
  readonly isMute?: boolean;
}

export interface Image {
  readonly name: string;
  readonly entrypoint: readonly string[];
  readonly env: readonly string[];
}

export class ContainerEngine implements AsyncDisposable {
  readonly #id = randomBytes(3).toString('hex');
  readonly #namespace = `k3si-${this.#id}`;
  readonly #network = makeNodeNetwork(this.#namespace, this.#namespace);
  readonly folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-engine-'));
  readonly #ctr: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #daemon: ChildProcess;
  readonly #containers: Container[] = [];
  readonly #address: readonly string[];

  static async start(): Promise<ContainerEngine> {
    const report = await findComponents({ env: process.env });
    const found = report.programs.find(({ program }) => program === 'containerd');
    if (found?.status !== 'found') throw new Error('containerd was not found: build the components first');
    const engine = new ContainerEngine(path.dirname(found.path));
    try {
      await vi.waitFor(() => engine.ping(), { timeout: 20_000, interval: 50 });
      return engine;
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(programs: string) {
    const at = (name: string) => path.join(this.folder, name);
    this.#ctr = path.join(programs, 'ctr');
    this.#address = ['--address', at('grpc.sock')];
    this.#env = { ...process.env, PATH: `${programs}:${process.env['PATH'] ?? ''}` };
    const address = (name: string) => JSON.stringify(at(name));
    writeFileSync(
      at('config.toml'),
      `version = 3
root = ${address('root')}
state = ${address('state')}
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt"]
[grpc]
  address = ${address('grpc.sock')}
[ttrpc]
  address = ${address('ttrpc.sock')}
`,
    );
    this.#daemon = spawn(path.join(programs, 'containerd'), ['--config', at('config.toml'), '--log-level', 'error'], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: this.#env,
    });
  }

  /** Folder for a container's data on this machine's own disk. */
  volume(name: string): string {
    const folder = path.join(this.folder, 'volumes', name);
    mkdirSync(folder, { recursive: true });
    return folder;
  }

  /** @throws while it does not answer */
  ping(): void {
    const { code, output } = this.ctr('version');
    if (code !== 0) throw new Error(output);
  }

  ctr(...args: readonly string[]): Ran {
    const { status, stdout, stderr, error } = spawnSync(this.#ctr, [...this.#address, ...args], {
      encoding: 'utf8',
      timeout: 60_000,
      env: this.#env,
    });
    if (error !== undefined) throw error;
    // ctr's own remarks are none of the program's.
    const errors = stderr.replaceAll(/^time=".*\n/gm, '');
    return { code: status ?? -1, output: `${stdout}${errors}` };
  }

  import(archive: string): void {
    const { code, output } = this.ctr('images', 'import', archive);
    if (code !== 0) throw new Error(`cannot import ${archive}: ${output}`);
  }

  /** A program in the containers' network. */
  inNetwork(...argv: readonly string[]): Ran {
    return run([...this.#network.enter, ...argv]);
  }

  start(image: Image, { args = [], env = [], volumes = {}, isMute = false }: RunOptions = {}): Container {
    const id = `${this.#id}-${String(this.#containers.length)}`;
    const rootfs = path.join(this.folder, `rootfs-${id}`);
    mkdirSync(rootfs);
    const mounted = this.ctr('images', 'mount', '--rw', image.name, rootfs);
    if (mounted.code !== 0) throw new Error(mounted.output);
    const spec = privilegedSpec({
      argv: [...image.entrypoint, ...args],
      env: [...image.env, ...env],
      rootfs,
      hostname: `node-${this.#id}`,
      network: `/run/netns/${this.#namespace}`,
      cgroup: `/${this.#namespace}/${id}`,
      volumes,
    });
    const specFile = path.join(this.folder, `spec-${id}.json`);
    writeFileSync(specFile, JSON.stringify(spec));
    const child = spawn(this.#ctr, [...this.#address, 'run', '--rm', '--config', specFile, id], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: this.#env,
    });
    const container = new Container({ engine: this, id, child, rootfs, isMute });
    this.#containers.push(container);
    return container;
  }

  /** Everything of containers that is on this machine now, one line each. */
  traces(): readonly string[] {
    // Kept by its mount manager until it looks what is no longer used.
    const ofTheEngine = path.join(this.folder, 'state/io.containerd.mount-manager.v1.bolt');
    return [
      ...readMounts()
        .map(({ point }) => point)
        .filter((point) => isUnder(this.folder, point) && !isUnder(ofTheEngine, point))
        .map((point) => `mount ${point}`),
      ...this.#cgroups()
        .filter((folder) => path.basename(folder) !== this.#namespace)
        .map((folder) => `cgroup ${folder}`),
      ...this.#shims().map((pid) => `shim ${String(pid)}`),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const container of this.#containers) await container.remove();
    this.#daemon.kill('SIGTERM');
    if (this.#daemon.exitCode === null) await new Promise((resolve) => this.#daemon.once('exit', resolve));
    for (const pid of this.#shims()) process.kill(pid, 'SIGKILL');
    for (const { point } of [...readMounts()].reverse()) {
      if (isUnder(this.folder, point)) run(['umount', '--lazy', point]);
    }
    for (const folder of [...this.#cgroups()].reverse()) rmdirSync(folder);
    this.#network[Symbol.dispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #shims(): readonly number[] {
    const socket = path.join(this.folder, 'grpc.sock');
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          return readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8')
            .split('\0')
            .includes(socket);
        } catch {
          return false; // it ended meanwhile
        }
      })
      .filter((pid) => pid !== this.#daemon.pid);
  }

  /** Outermost first. */
  #cgroups(): readonly string[] {
    return readMounts()
      .filter(({ type }) => type === 'cgroup' || type === 'cgroup2')
      .map(({ point }) => path.join(point, this.#namespace))
      .filter((folder) => existsSync(folder))
      .flatMap((folder) => [
        folder,
        ...readdirSync(folder, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isDirectory())
          .map((entry) => path.join(entry.parentPath, entry.name))
          .sort(),
      ]);
  }
}

interface ContainerParts {
  readonly engine: ContainerEngine;
  readonly id: string;
  readonly child: ChildProcess;
  readonly rootfs: string;
  readonly isMute: boolean;
}

export class Container {
  /** What it printed so far, standard output and error. */
  readonly lines: string[] = [];
  /** Its exit code. */
  readonly ended: Promise<number>;
  readonly #parts: ContainerParts;
  #hasEnded = false;
  #isRemoved = false;
  #execs = 0;

  constructor(parts: ContainerParts) {
    this.#parts = parts;
    const { child, isMute } = parts;
    for (const stream of isMute ? [] : [child.stdout, child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on('line', (line) => this.lines.push(line));
    }
    this.ended = new Promise((resolve) => {
      child.once('exit', (code) => {
        this.#hasEnded = true;
        resolve(code ?? -1);
      });
    });
  }

  /** Resolves when a line matches; rejects with everything printed when the container ends first. */
  async line(pattern: RegExp, timeoutMs = 60_000): Promise<string> {
    const found = () => this.lines.find((line) => pattern.test(line));
    await vi
      .waitUntil(() => this.#hasEnded || found() !== undefined, { timeout: timeoutMs, interval: 20 })
      .catch(() => undefined);
    const line = found();
    if (line === undefined) throw new Error(`no line ${String(pattern)} in:\n${this.lines.slice(-60).join('\n')}`);
    return line;
  }

  exec(...argv: readonly string[]): Ran {
    this.#execs += 1;
    const exec = `e${String(this.#execs)}`;
    return this.#parts.engine.ctr('tasks', 'exec', '--exec-id', exec, this.#parts.id, ...argv);
  }

  /** Processes in it whose command line matches, by their pids on this machine. */
  pids(command: RegExp): readonly number[] {
    const cgroup = new RegExp(`/${this.#parts.id}(?:/|$)`, 'm');
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .filter((pid) => {
        try {
          if (!cgroup.test(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))) return false;
          return command.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '));
        } catch {
          return false; // it ended meanwhile
        }
      })
      .map(Number);
  }

  /** Ends the one process that runs it, and returns its pid. */
  killHard(command: RegExp): number {
    const pids = this.pids(command);
    expect(pids, String(command)).toHaveLength(1);
    const [pid = 0] = pids;
    process.kill(pid, 'SIGKILL');
    return pid;
  }

  /** Whether all units of the k3s-lite in it are ready. */
  isReady(): boolean {
    return /"ready":\s*true/.test(this.exec('k3s-lite', 'status', '--json').output);
  }

  signal(name: string): void {
    const { code, output } = this.#parts.engine.ctr('tasks', 'kill', '--signal', name, this.#parts.id);
    if (code !== 0) throw new Error(`cannot signal: ${output}`);
  }

  /** Ends it if it runs, and removes its snapshot. */
  async remove(): Promise<void> {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    const { engine, id, rootfs } = this.#parts;
    if (!this.#hasEnded) engine.ctr('tasks', 'kill', '--signal', 'SIGKILL', id);
    await this.ended;
    engine.ctr('containers', 'delete', id);
    engine.ctr('images', 'unmount', '--rm', rootfs);
  }
}
