/**
 * Nodes on one bridge, with real packets, and two who look on:
 *
 *   n1 10.98.0.11 fd98::11 ─┐            ┌─ client   10.98.0.101 fd98::101
 *   n2 10.98.0.12 fd98::12 ─┼─ a bridge ─┤
 *   n3 10.98.0.13 fd98::13 ─┘ (a hub)    └─ observer 10.98.0.102 fd98::102
 *
 * The bridge learns nothing, so that every frame reaches everybody, the observer above all.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { cleanUpRig, cleanUpStaleRigs, rigPlace } from '../rig/clean-up.ts';
import { must, run, type Ran } from '../rig/run.ts';
import type { Calls, NodeOptions, Reply } from './calls.ts';

const root = path.resolve(import.meta.dirname, '../../..');

export interface Place {
  readonly name: string;
  readonly mac: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly namespace: string;
  /** What becomes a program in it. */
  readonly enter: readonly string[];
  run(...argv: readonly string[]): Ran;
  /** @throws an Error with what the program says when it fails */
  must(...argv: readonly string[]): string;
  /** Pulls or plugs in its cable. */
  cable(state: 'up' | 'down'): void;
}

/** A process there; calls are answered over IPC. */
export interface RigProcess extends Disposable {
  readonly calls: Calls;
  hasEnded(): boolean;
  signal(name: NodeJS.Signals): void;
  /** Kills it, and resolves when it is gone. */
  kill(): Promise<void>;
}

export interface VipRig extends AsyncDisposable {
  readonly place: (name: string) => Place;
  /** Folder for a node's state, which outlives its processes. */
  stateDir(name: string): string;
  startNode(name: string, options?: Partial<NodeOptions>): Promise<RigProcess>;
  readonly client: RigProcess;
  readonly observer: RigProcess;
}

export async function vipRig(nodes: readonly string[]): Promise<VipRig> {
  await cleanUpStaleRigs();
  const rig = rigPlace();
  const bundleDir = path.join(root, '.cache', rig.name);
  const places = new Map<string, Place>();
  const tidy = async () => {
    rmSync(bundleDir, { recursive: true, force: true });
    return cleanUpRig(rig);
  };
  try {
    mkdirSync(rig.base, { recursive: true, mode: 0o700 });
    const bundle = await bundled(bundleDir);
    const bridge = `${rig.name}-bridge`;
    must('ip', 'netns', 'add', bridge);
    // Without multicast snooping: a bridge that knows no listener would swallow VRRP and solicitations.
    must('ip', '-n', bridge, 'link', 'add', 'br0', 'type', 'bridge', 'mcast_snooping', '0');
    must('ip', '-n', bridge, 'link', 'set', 'br0', 'up');
    for (const [at, name] of nodes.entries())
      places.set(name, addPlace({ rig: rig.name, bridge, name, number: 11 + at }));
    for (const [at, name] of ['client', 'observer'].entries()) {
      places.set(name, addPlace({ rig: rig.name, bridge, name, number: 101 + at }));
    }
    const place = (name: string): Place => {
      const found = places.get(name);
      if (found === undefined) throw new Error(`the rig has no ${name}`);
      return found;
    };
    const stateDir = (name: string) => path.join(rig.base, name, 'vip');
    return {
      place,
      stateDir,
      startNode: (name, options = {}) =>
        startProcess(bundle, place(name), 'node', { name, stateDir: stateDir(name), ...options }),
      client: await startProcess(bundle, place('client'), 'client'),
      observer: await startProcess(bundle, place('observer'), 'observer'),
      async [Symbol.asyncDispose]() {
        const left = await tidy();
        if (left.length > 0) throw new Error(`the rig leaves behind:\n${left.join('\n')}`);
      },
    };
  } catch (error) {
    await tidy();
    throw error;
  }
}

/** Where node_modules are found from it. */
async function bundled(folder: string): Promise<string> {
  const outfile = path.join(folder, 'rig-process.mjs');
  const entry = path.join(import.meta.dirname, 'rig-process.ts');
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
  });
  return outfile;
}

interface NewPlace {
  readonly rig: string;
  readonly bridge: string;
  readonly name: string;
  readonly number: number;
}

function addPlace({ rig, bridge, name, number }: NewPlace): Place {
  const namespace = `${rig}-${name}`;
  const mac = `02:98:00:00:00:${number.toString(16).padStart(2, '0')}`;
  const [ipv4, ipv6] = [`10.98.0.${String(number)}`, `fd98::${String(number)}`];
  must('ip', 'netns', 'add', namespace);
  must('ip', '-n', bridge, 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
  must('ip', '-n', bridge, 'link', 'set', name, 'master', 'br0', 'up');
  must('bridge', '-n', bridge, 'link', 'set', 'dev', name, 'learning', 'off');
  for (const command of [
    ['link', 'set', 'lo', 'up'],
    ['link', 'set', 'eth0', 'address', mac, 'up'],
    ['address', 'add', `${ipv4}/16`, 'dev', 'eth0'],
    ['address', 'add', `${ipv6}/64`, 'dev', 'eth0', 'nodad'],
  ]) {
    must('ip', '-n', namespace, ...command);
  }
  const enter = ['nsenter', `--net=/run/netns/${namespace}`, '--'];
  return {
    name,
    mac,
    ipv4,
    ipv6,
    namespace,
    enter,
    run: (...argv) => run([...enter, ...argv]),
    must: (...argv) => must(...enter, ...argv),
    cable: (state) => void must('ip', '-n', bridge, 'link', 'set', name, state),
  };
}

async function startProcess(bundle: string, { enter }: Place, role: string, options: object = {}): Promise<RigProcess> {
  const [program = '', ...before] = enter;
  // nsenter becomes Node.js, so that this is its pid too.
  const child = fork(bundle, [role, JSON.stringify(options)], {
    execPath: program,
    execArgv: [...before, process.execPath],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const waiting = new Map<number, (reply: Reply) => void>();
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  void gone.then(() => {
    for (const answer of waiting.values()) answer({ id: 0, error: `the ${role} is gone` });
  });
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve());
    void gone.then(() => reject(new Error(`the ${role} has ended`)));
  });
  child.on('message', ({ id, ...reply }: Reply) => {
    waiting.get(id)?.({ id, ...reply });
    waiting.delete(id);
  });
  return {
    calls: callsOf(child, waiting),
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    signal: (name) => void child.kill(name),
    kill() {
      child.kill('SIGKILL');
      return gone;
    },
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  };
}

function callsOf(child: ChildProcess, waiting: Map<number, (reply: Reply) => void>): Calls {
  let lastId = 0;
  const ask = (call: string, args: readonly unknown[]) =>
    new Promise((resolve, reject) => {
      lastId += 1;
      waiting.set(lastId, ({ value, error }) => {
        if (error === undefined) resolve(value);
        else reject(new Error(error));
      });
      child.send({ id: lastId, call, args }, (error) => {
        if (error !== null) reject(error);
      });
    });
  return new Proxy({} as Calls, {
    // It is no promise, whoever asks.
    get: (_, call) => (call === 'then' ? undefined : (...args: readonly unknown[]) => ask(String(call), args)),
  });
}
