/**
 * `k3s-lite internal vip` as a process in each node of the rig, with a way of its own to the API:
 *
 *   control plane (outside) ── uplink ── n1 ─┐
 *                           ── uplink ── n2 ─┼─ the bridge of the rig: client, observer
 *                           ── uplink ── n3 ─┘
 *
 * An uplink that is down is a node without the API whose addresses are still on the wire.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { renderKubeconfig } from '../../../src/cluster/kubeconfigs.ts';
import { ask, textOf, type Peer } from '../../../src/control/ask.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import type { LeaseTimes } from '../../../src/vip/coordination/timing.ts';
import { must } from '../rig/run.ts';
import type { NodeClock } from '../vip-rig/skewed-clocks.ts';
import type { VipRig } from '../vip-rig/vip-rig.ts';

const program = path.resolve(import.meta.dirname, '../../../bin/k3s-lite.js');
const stall = path.resolve(import.meta.dirname, 'stall-on-signal.mjs');
const answerWithinMs = 10_000;
/** SIGUSR2 holds a process's main thread for so long. */
export const stallMs = 4000;

export interface VipProcess {
  readonly name: string;
  readonly pid: number;
  /** What it has said, with when. */
  readonly lines: readonly { readonly atMs: number; readonly text: string }[];
  readonly ended: Promise<void>;
  readonly hasEnded: () => boolean;
  /** Asks its control socket, as the command line does: JSON. */
  asked(path: string, body?: object): Promise<unknown>;
  /** For ever; no other thread of it. */
  hangLeaseThread(): void;
  signal(name: NodeJS.Signals): void;
  uplink(state: 'up' | 'down'): void;
}

/** Four addresses for each uplink, and others for each run of the tests. */
function uplinkOf(at: number): { readonly outside: string; readonly inside: string } {
  const first = ((process.pid % 5000) * 3 + at) * 4;
  const address = (offset: number) => `10.97.${String((first + offset) >> 8)}.${String((first + offset) & 255)}`;
  return { outside: address(1), inside: address(2) };
}

/** Addresses outside at which nodes find the API: for its certificate. */
export const uplinkAddresses = (count: number): readonly string[] =>
  Array.from({ length: count }, (_each, at) => uplinkOf(at).outside);

export interface VipProcessesOptions {
  readonly rig: VipRig;
  readonly nodes: readonly string[];
  readonly apiPort: number;
  /** Folder with the administrator's certificate. */
  readonly tls: string;
  readonly times: LeaseTimes;
  readonly addresses: readonly string[];
  /** Nodes whose clocks are not this machine's. */
  readonly clocks?: ReadonlyMap<string, NodeClock>;
}

export class VipProcesses implements AsyncDisposable {
  readonly #options: VipProcessesOptions;
  readonly #running = new Set<ChildProcess>();

  constructor(options: VipProcessesOptions) {
    this.#options = options;
    for (const [at, name] of options.nodes.entries()) {
      const { outside, inside } = uplinkOf(at);
      const { namespace } = options.rig.place(name);
      must('ip', 'link', 'add', this.#device(at), 'type', 'veth', 'peer', 'name', 'up0', 'netns', namespace);
      must('ip', 'address', 'add', `${outside}/30`, 'dev', this.#device(at));
      must('ip', 'link', 'set', this.#device(at), 'up');
      must('ip', '-n', namespace, 'address', 'add', `${inside}/30`, 'dev', 'up0');
      must('ip', '-n', namespace, 'link', 'set', 'up0', 'up');
    }
  }

  /** @param more - flags of its command line */
  start(name: string, more: Readonly<Record<string, string | number>> = {}): VipProcess {
    const { rig, nodes, apiPort, tls, times, addresses, clocks } = this.#options;
    const at = nodes.indexOf(name);
    const stateDir = rig.stateDir(name);
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    const kubeconfig = path.join(stateDir, 'kubeconfig');
    const hangFile = path.join(stateDir, 'hang');
    rmSync(hangFile, { force: true });
    const socketPath = path.join(stateDir, 'control.sock');
    const material = {
      caFile: `${tls}/server-ca.crt`,
      certFile: `${tls}/client-admin.crt`,
      keyFile: `${tls}/client-admin.key`,
    };
    const server = `https://${uplinkOf(at).outside}:${String(apiPort)}`;
    writeFileSync(kubeconfig, renderKubeconfig({ server, user: 'vip', material }), { mode: 0o600 });
    const flags = {
      'state-dir': stateDir,
      kubeconfig,
      'node-name': name,
      addresses: addresses.join(','),
      'lease-duration': times.leaseDurationMs,
      'renew-deadline': times.renewDeadlineMs,
      'retry-period': times.retryPeriodMs,
      'control-socket': socketPath,
      // Nodes die here again and again, and are to have their share each time.
      'flap-half-life-ms': 1,
      ...more,
    };
    const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${String(value)}`);
    const { enter, flags: nodeFlags, env } = clocks?.get(name) ?? { ...rig.place(name), flags: [], env: process.env };
    const [first = '', ...before] = enter;
    const node = [process.execPath, ...nodeFlags, '--import', stall, program];
    const child = spawn(first, [...before, ...node, 'internal', 'vip', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...env, STALL_MS: String(stallMs), HANG_FILE: hangFile },
    });
    this.#running.add(child);
    const lines: { atMs: number; text: string }[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (text) => lines.push({ atMs: systemClock.monotonicMs(), text }));
    }
    let hasEnded = false;
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    void ended.then(() => {
      hasEnded = true;
      this.#running.delete(child);
    });
    return {
      name,
      pid: child.pid ?? 0,
      lines,
      ended,
      hasEnded: () => hasEnded,
      async asked(path, body) {
        const connectionError = (cause: Error) => new Error(`nobody answers on ${socketPath}`, { cause });
        const peer: Peer = { name, socketPath, connectionError };
        return JSON.parse(await textOf(await ask(peer, { path, body, withinMs: answerWithinMs }))) as unknown;
      },
      hangLeaseThread() {
        writeFileSync(hangFile, '');
      },
      signal: (signal) => void child.kill(signal),
      uplink: (state) => void must('ip', 'link', 'set', this.#device(at), state),
    };
  }

  async [Symbol.asyncDispose]() {
    for (const child of this.#running) {
      child.kill('SIGCONT');
      child.kill('SIGKILL');
    }
    await Promise.all([...this.#running].map((child) => new Promise((resolve) => child.once('close', resolve))));
    for (const at of this.#options.nodes.keys()) must('ip', 'link', 'delete', this.#device(at));
  }

  #device(at: number): string {
    return `vipup${String(process.pid)}-${String(at)}`.slice(-15);
  }
}
