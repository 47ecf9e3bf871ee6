/**
 * One machine of a rig: a network, mount and UTS namespace of its own, held by a process that does
 * nothing else. When that is killed, everything that was mounted is gone.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createInterface } from 'node:readline';
import path from 'node:path';
import { EventLog } from '../kit/event-log.ts';
import { setUpInside } from '../kit/node-network.ts';
import type { RigPlace } from './clean-up.ts';
import { run, type Ran } from './run.ts';

const cli = path.resolve(import.meta.dirname, '../../../bin/k3s-lite.js');
/** Fixed paths that a node writes to: each machine has its own. */
const ownFolders = ['/var/lib/kubelet', '/var/lib/cni', '/var/log/containers', '/var/log/pods'];

export interface MachineUp {
  readonly events: EventLog;
  /** Signals it and resolves with its exit code. */
  interrupt(signal?: NodeJS.Signals): Promise<number>;
}

export interface Machine {
  readonly name: string;
  readonly ip: string;
  readonly dataDir: string;
  /** What becomes a program on it. */
  readonly enter: readonly string[];
  /** Runs a program on it to its end. */
  run(...argv: readonly string[]): Ran;
  /** Runs k3s-lite on it to its end. */
  k3sLite(command: string, ...args: readonly string[]): Ran;
  /** Kills everything that runs on it, k3s-lite first, as a power cut does; its disk stays. */
  powerOff(): void;
  /** `up` or `agent` in the foreground. */
  up(command: 'up' | 'agent', args: readonly string[]): MachineUp;
}

export interface MachineOptions {
  readonly place: RigPlace;
  readonly name: string;
  readonly ip: string;
  readonly gateway: string;
}

/** The machine's end of its cable, `eth0`, has to be there already. */
export async function startMachine({ place, name, ip, gateway }: MachineOptions): Promise<Machine> {
  const namespace = `${place.name}-${name}`;
  const folder = path.join(place.base, name);
  const dataDir = path.join(folder, 'data');
  for (const one of [dataDir, ...ownFolders.map((own) => path.join(folder, own))]) mkdirSync(one, { recursive: true });
  for (const own of ownFolders) mkdirSync(own, { recursive: true });

  const network = setUpInside(namespace, ip, gateway);
  const script = [
    'set -e',
    `hostname ${name}`,
    'mount --make-rshared /',
    'mount -t tmpfs tmpfs /run',
    'mkdir -p /run/netns /run/lock',
    ...ownFolders.map((own) => `mount --bind ${path.join(folder, own)} ${own}`),
    // nsenter and unshare exec, so this is the pid of what was spawned, too.
    'echo $$',
    'exec sleep infinity >/dev/null',
  ].join('\n');
  const [program = '', ...before] = network;
  const holding = ['unshare', '--mount', '--uts', '--propagation', 'private', 'sh', '-c', script];
  const holder = spawn(program, [...before, ...holding], { stdio: ['ignore', 'pipe', 'inherit'] });
  const pid = await new Promise<string>((resolve, reject) => {
    holder.stdout.once('data', (data: Buffer) => resolve(data.toString().trim()));
    holder.once('exit', (code) => reject(new Error(`the holder of ${name} ended with code ${String(code)}`)));
  });
  const namespaces = ['nsenter', `--target=${pid}`, '--net', '--mount', '--uts'];
  const enter = [...namespaces, '--'];
  const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: process.env['HOME'] ?? '/root' };

  return {
    name,
    ip,
    dataDir,
    enter,
    run: (...argv) => run([...enter, ...argv]),
    k3sLite: (command, ...args) => run([...enter, process.execPath, cli, command, '--data-dir', dataDir, ...args]),
    powerOff() {
      const own = readlinkSync(`/proc/${pid}/ns/net`);
      // Again until nothing is left: what dies last may have started something.
      for (let round = 0; round < 50; round += 1) {
        const found = processesIn(own).filter((one) => one !== pid);
        if (found.length === 0) return;
        for (const one of found) killIfThere(Number(one));
      }
      throw new Error(`processes of ${name} live on`);
    },
    up(command, args) {
      const own = ['--data-dir', dataDir, '--node-ip', ip, '--cgroup-root', `/${namespace}`];
      // nsenter goes to the root of the mounts that it enters, unless it is told otherwise.
      const there = [...namespaces, `--wdns=${dataDir}`, '--'];
      const [first = '', ...rest] = [...there, process.execPath, cli, command, '--json', ...own, ...args];
      return running(spawn(first, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] }));
    },
  };
}

/** Of a network namespace, k3s-lite first: what it supervises is not to be started again. */
function processesIn(network: string): readonly string[] {
  const found = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry) && networkOf(entry) === network);
  const isOurs = (entry: string) => textOf(`/proc/${entry}/cmdline`).includes('k3s-lite.js');
  return found.sort((one, other) => Number(isOurs(other)) - Number(isOurs(one)));
}

function networkOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return ''; // it ended meanwhile, or is a zombie
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // it ended meanwhile
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended meanwhile.
  }
}

function running(child: ChildProcess): MachineUp {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('internal error: no pipes');
  const events = new EventLog();
  let errors = '';
  createInterface({ input: stdout }).on('line', (line) => events.add(line));
  stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const ended = new Promise<number>((resolve) => {
    child.once('close', (code) => {
      events.close(`it ended with code ${String(code)} (${errors.trim()})`);
      resolve(code ?? -1);
    });
  });
  return {
    events,
    interrupt(signal = 'SIGTERM') {
      child.kill(signal);
      return ended;
    },
  };
}
