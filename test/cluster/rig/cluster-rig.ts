/**
 * Several machines on one: each with namespaces and a cgroup root of its own, all on a bridge that is
 * in a namespace too, so that nothing of this machine's network sees them.
 *
 *   s1 10.99.0.11 ─┐
 *   a1 10.99.0.12 ─┼─ bridge 10.99.0.1 (refuses every port); 10.99.0.9 swallows everything
 *   a2 10.99.0.13 ─┘
 */
import { mkdirSync } from 'node:fs';
import { cleanUpRig, cleanUpStaleRigs, rigPlace } from './clean-up.ts';
import { startMachine, type Machine, type MachineUp } from './machine.ts';
import { must } from './run.ts';

/** Answers each connection with a reset: it is up, and nothing listens. */
export const refusingIp = '10.99.0.1';
/** Packets to it are sent, and never heard of again. */
export const blackHoleIp = '10.99.0.9';

export interface ClusterRig extends AsyncDisposable {
  machine(name: string): Machine;
  /** Pulls or plugs in a machine's cable. */
  cable(name: string, state: 'up' | 'down'): void;
}

/** Disposing takes everything away, whatever state it is in. @throws an Error after it has cleaned up */
export async function clusterRig(names: readonly string[]): Promise<ClusterRig> {
  await cleanUpStaleRigs();
  const place = rigPlace();
  const bridge = `${place.name}-bridge`;
  const machines = new Map<string, Machine>();
  try {
    mkdirSync(place.base, { recursive: true, mode: 0o700 });
    must('ip', 'netns', 'add', bridge);
    for (const command of [
      ['link', 'set', 'lo', 'up'],
      ['link', 'add', 'br0', 'type', 'bridge'],
      ['address', 'add', `${refusingIp}/24`, 'dev', 'br0'],
      ['link', 'set', 'br0', 'up'],
    ]) {
      must('ip', '-n', bridge, ...command);
    }
    for (const [at, name] of names.entries()) {
      const namespace = `${place.name}-${name}`;
      must('ip', 'netns', 'add', namespace);
      must('ip', '-n', bridge, 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
      must('ip', '-n', bridge, 'link', 'set', name, 'master', 'br0', 'up');
      machines.set(name, await startMachine({ place, name, ip: `10.99.0.${String(11 + at)}`, gateway: refusingIp }));
      // A neighbour that nobody is: without it, the kernel itself would say "no route" after 3 s.
      must('ip', '-n', namespace, 'neighbour', 'add', blackHoleIp, 'lladdr', '02:00:00:00:00:09', 'dev', 'eth0');
    }
  } catch (error) {
    await cleanUpRig(place);
    throw error;
  }
  return {
    machine(name) {
      const found = machines.get(name);
      if (found === undefined) throw new Error(`the rig has no machine ${name}`);
      return found;
    },
    cable: (name, state) => void must('ip', '-n', bridge, 'link', 'set', name, state),
    async [Symbol.asyncDispose]() {
      const left = await cleanUpRig(place);
      if (left.length > 0) throw new Error(`the rig leaves behind:\n${left.join('\n')}`);
    },
  };
}

/** What runs on it ends by order, as far as it can; then everything is taken away. @throws as disposing does */
export async function endRig(rig: ClusterRig, running: ReadonlyMap<string, MachineUp>): Promise<void> {
  try {
    await Promise.allSettled([...running.values()].map((one) => one.interrupt()));
  } finally {
    await rig[Symbol.asyncDispose]();
  }
}
