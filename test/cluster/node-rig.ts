/**
 * A whole node in a network namespace of its own: `k3s-lite up` as a person would start it, with
 * own paths, node name and cgroup root, so that it meets nothing else on this machine.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathsOf } from '../../src/app/paths.ts';
import { findComponents } from '../../src/component/find.ts';
import { controlClient, type ControlClient } from '../../src/control/client.ts';
import { deferred } from '../../src/kernel/deferred.ts';
import { readMounts } from '../../src/cluster/mountinfo.ts';
import { EventLog } from './kit/event-log.ts';
import { makeNodeNetwork } from './kit/node-network.ts';
import { must, run, type Ran } from './rig/run.ts';

const root = path.resolve(import.meta.dirname, '../..');
/** Folder of components for this run, if they are not where `k3s-lite` finds them by itself. */
const binDir = process.env['K3S_LITE_BIN_DIR'];

export const isRoot = process.getuid?.() === 0;

export interface NodeRig extends AsyncDisposable {
  readonly dataDir: string;
  readonly runDir: string;
  readonly nodeName: string;
  /** Of the present `up`. */
  readonly events: EventLog;
  readonly client: ControlClient;
  readonly nodeIp: string;
  /**
   * Starts the node and resolves when every unit is ready, with the milliseconds that took.
   *
   * @param program - of another k3s-lite than that of this clone
   */
  up(program?: string): Promise<number>;
  /** Sends a signal to the foreground `up` and resolves with its exit code. */
  interrupt(signal: NodeJS.Signals): Promise<number>;
  /**
   * What a power-off leaves: every process of the node is gone at once, pods' too, and nobody could
   * tidy up. With `reboot` also what does not outlive one: mounts, links, the run directory; and the
   * lock is of another boot.
   */
  powerOff(options: { readonly reboot: boolean }): Promise<void>;
  /** Processes in the cgroups of this node's pods, one command line each. */
  podProcesses(): readonly string[];
  kubectl(...args: string[]): Ran;
  /** `k3s-lite down`, to its end. */
  down(): Ran;
  /** kubectl that keeps running (port-forward); it is killed with the rig. */
  kubectlInBackground(...args: string[]): ChildProcess;
  /** What becomes a program inside the node's network. */
  readonly enter: readonly string[];
  /** A program inside the node's network. */
  inNetwork(...argv: string[]): Ran;
  /** Everything that a node could leave behind on this machine, line by line. */
  traces(): ReadonlyMap<string, readonly string[]>;
}

/** @param flags - further ones of `up` */
export async function nodeRig(flags: readonly string[] = []): Promise<NodeRig> {
  const id = randomBytes(3).toString('hex');
  const namespace = `k3sl-${id}`;
  const nodeName = `node-${id}`;
  const dataDir = mkdtempSync(path.join(tmpdir(), 'k3s-lite-node-'));
  const { runDir, controlSocket } = pathsOf({ dataDir, env: process.env, uid: 0 });
  const children: ChildProcess[] = [];
  const network = makeNodeNetwork(namespace, `k3sl${id}`);
  const { nodeIp, enter } = network;

  const report = await findComponents({ env: process.env, dataDir, ...(binDir === undefined ? {} : { binDir }) });
  const found = report.programs.find(({ program }) => program === 'kubectl');
  if (found?.status !== 'found') throw new Error('kubectl was not found: build the components first');
  const kubectl = [...enter, found.path, `--kubeconfig=${dataDir}/k3s-lite.yaml`];

  let supervisor: ChildProcess | undefined;
  let exited: Promise<number> = Promise.resolve(0);
  let events = new EventLog();

  const up = async (cli = path.join(root, 'bin/k3s-lite.js')): Promise<number> => {
    const ready = deferred<number>();
    const startedMs = performance.now();
    const args = ['up', '--json', '--data-dir', dataDir, '--node-name', nodeName, '--cgroup-root', `/${namespace}`];
    const units = ['--units', path.join(root, 'units'), '--units', path.join(root, 'examples/first-pod')];
    const [program = '', ...before] = enter;
    const child = spawn(program, [...before, process.execPath, cli, ...args, ...units, ...flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: dataDir,
    });
    supervisor = child;
    const last: string[] = [];
    const told = new EventLog();
    events = told;
    const keep = (line: string) => {
      last.push(line);
      if (last.length > 40) last.shift();
    };
    createInterface({ input: child.stdout }).on('line', (line) => {
      keep(line);
      told.add(line);
      if (line.includes('"up.ready"')) ready.resolve(performance.now() - startedMs);
    });
    createInterface({ input: child.stderr }).on('line', keep);
    exited = new Promise((resolve) => {
      child.once('exit', (code) => {
        resolve(code ?? -1);
        told.close(`up exited with ${String(code)}`);
        ready.reject(new Error(`up exited with ${String(code)}:\n${last.join('\n')}`));
      });
    });
    return ready.promise;
  };

  const interrupt = async (signal: NodeJS.Signals): Promise<number> => {
    supervisor?.kill(signal);
    return exited;
  };

  /** Lazily: the last of a killed process may still be on its way out, and after a power cut nothing is busy. */
  const unmountOurs = () => {
    const points = readMounts().map(({ point }) => point);
    const ours = points.filter((point) => point.startsWith(`${dataDir}/`) || point.startsWith(`${runDir}/`));
    if (ours.length > 0) must('umount', '--lazy', ...ours.reverse());
  };

  const powerOff = async ({ reboot }: { readonly reboot: boolean }): Promise<void> => {
    // Again until nothing is left: one that was just being started is not in the first list.
    for (;;) {
      const pids = [...processesIn(enter).map((line) => Number(line.split(' ')[0])), ...pidsInCgroups(namespace)];
      for (const pid of pids) kill(pid);
      if (pids.length === 0) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await exited;
    if (!reboot) return;
    unmountOurs();
    rmSync(runDir, { recursive: true, force: true });
    run([...enter, 'ip', 'link', 'delete', 'cni0']);
    run([...enter, 'nft', 'flush', 'ruleset']);
    for (const name of readdirSync(path.join(dataDir, 'lock'))) {
      const file = path.join(dataDir, 'lock', name);
      writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, 'utf8')) as object), bootId: 'another' }));
    }
  };

  return {
    dataDir,
    runDir,
    nodeName,
    nodeIp,
    client: controlClient({ socketPath: controlSocket, dataDir }),
    get events() {
      return events;
    },
    up,
    interrupt,
    powerOff,
    podProcesses: () => pidsInCgroups(namespace).flatMap((pid) => commandOf(pid) ?? []),
    kubectl: (...args) => run([...kubectl, ...args]),
    down: () => run([...enter, process.execPath, path.join(root, 'bin/k3s-lite.js'), 'down', '--data-dir', dataDir]),
    kubectlInBackground(...args) {
      const [program = '', ...rest] = [...kubectl, ...args];
      const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
      children.push(child);
      return child;
    },
    enter,
    inNetwork: (...argv) => run([...enter, ...argv]),
    traces: () => traces({ enter, words: [namespace, dataDir, path.basename(runDir)] }),
    async [Symbol.asyncDispose]() {
      for (const child of children) child.kill('SIGKILL');
      await interrupt('SIGTERM');
      network[Symbol.dispose]();
      // Nothing is left of a node that was stopped; of one that failed, what a test was about.
      unmountOurs();
      for (const folder of [dataDir, runDir]) rmSync(folder, { recursive: true, force: true });
    },
  };
}

const shims = 'containerd';

/** "+ links: cni0" of what is there now alone, "- …" of what was there before alone; shims that a killed node has left may go. */
export function differences(
  before: ReturnType<NodeRig['traces']>,
  now: ReturnType<NodeRig['traces']>,
): readonly string[] {
  return [...before].flatMap(([kind, lines]) => {
    const after = now.get(kind);
    if (after === undefined) return [];
    const gone = kind === shims ? [] : lines.filter((line) => !after.includes(line));
    const added = after.filter((line) => !lines.includes(line));
    return [...gone.map((line) => `- ${kind}: ${line}`), ...added.map((line) => `+ ${kind}: ${line}`)];
  });
}

/** Settings that a node changes, as far as they are the machine's and not the namespace's. */
const sysctls = [
  ...['net/ipv4/ip_forward', 'net/ipv4/conf/all/route_localnet', 'net/bridge/bridge-nf-call-iptables'],
  ...['net/netfilter/nf_conntrack_max', 'net/netfilter/nf_conntrack_tcp_timeout_established'],
  ...['vm/overcommit_memory', 'vm/panic_on_oom', 'kernel/panic', 'kernel/panic_on_oops'],
  ...['kernel/keys/root_maxkeys', 'kernel/keys/root_maxbytes'],
];

interface Marks {
  readonly enter: readonly string[];
  /** Words that only paths of this node contain. */
  readonly words: readonly string[];
}

/**
 * What the namespace holds is compared whole; of what belongs to the machine, only what carries a
 * mark of this node, because other programs come and go meanwhile.
 */
function traces({ enter, words }: Marks): ReadonlyMap<string, readonly string[]> {
  const listing = (...argv: string[]) => run([...enter, ...argv]).output.split('\n');
  const isOurs = (line: string) => words.some((word) => line.includes(word));
  const mounts = readMounts();
  const cgroups = mounts
    .filter(({ type }) => type === 'cgroup' || type === 'cgroup2')
    .flatMap(({ point }) => listing('find', point, '-type', 'd'));
  const links = JSON.parse(listing('ip', '-j', 'link').join('\n')) as { ifname: string }[];
  return new Map<string, readonly string[]>([
    ['processes', processesIn(enter)],
    ['mounts', mounts.map(({ point, type }) => `${point} ${type}`).filter(isOurs)],
    ['cgroups', cgroups.filter((line) => isOurs(line) || line.includes('kubepods'))],
    ['links', links.map(({ ifname }) => ifname).sort()],
    // Lines of comment hold the time of the day.
    ['iptables', listing('iptables-save').filter((line) => !line.startsWith('#'))],
    ['nftables', listing('nft', 'list', 'ruleset')],
    ['routes', listing('ip', 'route')],
    // Sockets of shims have no mark; while another node runs on this machine, nothing can be said of them.
    // The folder of all shims' sockets may be somebody else's or ours, and says nothing when it is empty.
    ...(otherShimsRun(enter)
      ? []
      : [[shims, listing('find', '/run/containerd').filter((line) => line !== '/run/containerd/s')] as const]),
    // What the plugins keep names the pod's network namespace, which lies in our run directory.
    ['cni', listing('grep', '-rslE', words.join('|'), '/var/lib/cni')],
    ['container logs', listing('find', '/var/log/containers', '-type', 'l').filter(isOurs)],
    ['sysctls', sysctls.map((name) => `${name} ${listing('cat', `/proc/sys/${name}`).join('')}`)],
  ]);
}

/** Pids below the node's cgroup root, in whichever hierarchy. */
function pidsInCgroups(namespace: string): readonly number[] {
  const found = new Set<number>();
  for (const { point, type } of readMounts()) {
    if (type !== 'cgroup' && type !== 'cgroup2') continue;
    const top = path.join(point, namespace);
    if (!existsSync(top)) continue;
    for (const folder of run(['find', top, '-type', 'd']).output.split('\n')) {
      try {
        for (const pid of readFileSync(path.join(folder, 'cgroup.procs'), 'utf8').split('\n')) found.add(Number(pid));
      } catch {
        // It was removed meanwhile, or its hierarchy has threads only.
      }
    }
  }
  found.delete(0);
  return [...found];
}

function commandOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8')
      .replaceAll('\0', ' ')
      .trim();
  } catch {
    return undefined; // it ended meanwhile
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended meanwhile.
  }
}

function otherShimsRun(enter: readonly string[]): boolean {
  const own = new Set(processesIn(enter).map((line) => line.split(' ')[0]));
  const shims = run(['pgrep', '-f', 'containerd-shim-runc-v2'])
    .output.split('\n')
    .filter((pid) => pid !== '');
  return shims.some((pid) => !own.has(pid));
}

/** Every process inside the network namespace, whoever its parent is by now. */
function processesIn(enter: readonly string[]): string[] {
  const namespace = run([...enter, 'readlink', '/proc/self/ns/net']).output.trim();
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        if (readlinkSync(`/proc/${pid}/ns/net`) !== namespace) return [];
        return [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`];
      } catch {
        return []; // it ended meanwhile
      }
    });
}
