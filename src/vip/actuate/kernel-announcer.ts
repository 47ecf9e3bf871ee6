/**
 * Announces without packet sockets: a kernel that is told to announces all addresses of an interface
 * when its MAC is set, also to what it is already. The gate decides which of them leave.
 *
 * Not every network card takes its MAC while it is up: then nothing is announced, and neighbours find
 * out by themselves.
 */
import { readFile, writeFile } from 'node:fs/promises';
import type { KernelNetwork } from './kernel-network.ts';
import type { Link } from './network-state.ts';

/** Source: Linux ip-sysctl, `arp_notify` and `ndisc_notify`. */
const switches = (name: string) => [
  `/proc/sys/net/ipv4/conf/${name}/arp_notify`,
  `/proc/sys/net/ipv6/conf/${name}/ndisc_notify`,
];

export interface KernelAnnouncer {
  /** Every open address of the interface, soon; wishes of one turn are one. */
  announce(link: Link): void;
  /** Sets back what was switched on. */
  end(): Promise<void>;
}

export function kernelAnnouncer(kernel: KernelNetwork): KernelAnnouncer {
  const asked = new Map<string, Link>();
  const before = new Map<string, string>();
  let running = Promise.resolve();

  async function switchOn(file: string): Promise<void> {
    if (before.has(file)) return;
    before.set(file, await readFile(file, 'utf8'));
    await writeFile(file, '1');
  }
  async function run(): Promise<void> {
    const links = [...asked.values()];
    asked.clear();
    for (const { name, mac } of links) {
      // A machine without IPv6 lacks one of them.
      await Promise.allSettled(switches(name).map(switchOn));
      await kernel.announceAll(name, mac);
    }
  }
  return {
    announce(link) {
      asked.set(link.name, link);
      if (asked.size === 1) running = running.then(run).catch(() => undefined);
    },
    async end() {
      await running;
      await Promise.allSettled([...before].map(([file, value]) => writeFile(file, value)));
    },
  };
}
