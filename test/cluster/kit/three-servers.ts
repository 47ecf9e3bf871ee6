/**
 * Three servers and an agent, a machine each, and clients that ask through the agent's balancer: what tests
 * of servers that are lost or restarted begin with.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import * as z from 'zod';
import { clusterRig, endRig } from '../rig/cluster-rig.ts';
import type { Machine, MachineUp } from '../rig/machine.ts';
import { retryingClient, type RetryingClient, type RetryingClientOptions } from './retrying-client.ts';

export const serverNames = ['s1', 's2', 's3'] as const;
/** Source: src/app/flags.ts, --lb-server-port. */
const balancerPort = 6444;
/** Of each balancer on a machine; an agent has one. */
const listing = z.array(z.object({ servers: z.array(z.object({ address: z.string(), state: z.string() })) }));

export interface ThreeServersOptions {
  /** Servers have nodes, too. */
  readonly hasNodes?: boolean;
  /** That the API servers share; all others join through it. */
  readonly vipApiserver?: string;
  /** Before anything runs. */
  readonly prepare?: (machine: (name: string) => Machine) => void;
  readonly patience: { readonly timeout: number; readonly interval: number };
}

export interface ThreeServers extends AsyncDisposable {
  readonly running: Map<string, MachineUp>;
  machine(name: string): Machine;
  up(name: string): MachineUp;
  /** What the balancer of the agent, a1, says of the servers. */
  states(): readonly { readonly address: string; readonly state: string }[];
  /** How many of them are well. */
  wellOnes(): number;
  /** By the agent's balancer, if it does not say where. */
  client(how?: Partial<Omit<RetryingClientOptions, 'tls' | 'enter'>>): RetryingClient;
  /** Until so many more requests have their outcome. */
  askedMore(client: RetryingClient, count: number): Promise<void>;
}

/** All of them are ready. Disposing ends them, the agent first, and takes the rig away. */
export async function threeServers(options: ThreeServersOptions): Promise<ThreeServers> {
  const { hasNodes = false, vipApiserver, prepare, patience } = options;
  const names = [...serverNames, 'a1'];
  const rig = await clusterRig(names);
  const machine = (name: string) => rig.machine(name);
  const tokenFile = (name: string) => path.join(machine(name).dataDir, 'given-token');
  const running = new Map<string, MachineUp>();

  const up = (name: string): MachineUp => {
    const how = name === 's1' ? ['--cluster-init'] : ['--server', `https://${vipApiserver ?? machine('s1').ip}:9345`];
    if (vipApiserver !== undefined && name !== 'a1') how.push('--vip-apiserver', vipApiserver);
    const role = name === 'a1' || hasNodes ? [] : ['--disable-agent'];
    const args = [...how, ...role, '--token-file', tokenFile(name)];
    const started = machine(name).up(name === 'a1' ? 'agent' : 'up', args);
    running.set(name, started);
    return started;
  };
  const states = () =>
    listing
      .parse(JSON.parse(machine('a1').k3sLite('lb', 'list', '--json').output))
      .flatMap((balancer) => balancer.servers);
  const end = async () => {
    try {
      await running.get('a1')?.interrupt();
    } finally {
      await endRig(rig, running);
    }
  };

  try {
    for (const name of names) writeFileSync(tokenFile(name), 'a-token-of-my-choice\n', { mode: 0o600 });
    prepare?.(machine);
    await up('s1').events.ready();
    await Promise.all(['s2', 's3', 'a1'].map((name) => up(name).events.ready()));
  } catch (error) {
    await end();
    throw error;
  }
  return {
    running,
    machine,
    up,
    states,
    wellOnes: () => states().filter(({ state }) => ['active', 'preferred', 'healthy'].includes(state)).length,
    client: (how) =>
      retryingClient({
        tls: path.join(machine('s1').dataDir, 'server/tls'),
        port: balancerPort,
        enter: machine('a1').enter,
        ...how,
      }),
    async askedMore(client, count) {
      const before = client.asked();
      await expect.poll(() => client.asked(), patience).toBeGreaterThan(before + count);
    },
    [Symbol.asyncDispose]: end,
  };
}
