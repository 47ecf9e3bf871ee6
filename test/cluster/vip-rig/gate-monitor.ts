/**
 * How many IPv4 addresses a node's gate lets out, after each transaction that the kernel has made: what was
 * never so for any packet is not in it. By `nft monitor` in the node's namespace, which does not tell of IPv6
 * here: it cannot name the type of that set (nft 1.0.6).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { tableName } from '../../../src/vip/actuate/gate-rules.ts';
import type { Place } from './vip-rig.ts';

export interface GateMonitor extends AsyncDisposable {
  /** Since it was asked last; the same count twice in a row is in it once. */
  counts(): readonly number[];
}

const changed = new RegExp(`^(add|delete) element arp ${tableName} open \\{ (.*) \\}$`);

export function gateMonitor({ enter }: Place): GateMonitor {
  const [program = '', ...before] = enter;
  const child = spawn(program, [...before, 'nft', 'monitor'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = once(child, 'close');
  const open = new Set<string>();
  let counts: number[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [, what, element = ''] = changed.exec(line.trim()) ?? [];
    if (what === 'add') open.add(element);
    else if (what === 'delete') open.delete(element);
    else if (line.startsWith('# new generation') && counts.at(-1) !== open.size) counts.push(open.size);
  });
  return {
    counts() {
      const told = counts;
      counts = told.slice(-1);
      return told;
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
