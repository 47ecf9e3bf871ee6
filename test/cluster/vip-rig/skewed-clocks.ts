/**
 * Clocks of nodes that disagree, although one kernel runs them all:
 *
 * - The wall clock of a node's process, by a preload, and of its kernel as far as we ask it: an `nft` in
 *   front of the real one moves `meta time` back by as much, and so does the preload in messages of netlink. Both can be set while it runs. What is in
 *   the kernel already is not moved with it.
 * - The monotonic and the boot-time clock of a node, by a time namespace: they differ by days.
 *
 * All of them run at the same speed: how far they drift apart is the simulation's.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { must } from '../rig/run.ts';
import type { Place, VipRig } from './vip-rig.ts';

const preload = path.join(import.meta.dirname, 'skewed-clock.mjs');
const dayS = 86_400;

export interface NodeClock {
  /** What becomes a program of the node, with its uptime. */
  readonly enter: readonly string[];
  /** Of Node.js. */
  readonly flags: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whole seconds, as nft has them. */
  setAheadS(seconds: number): void;
}

/** @param days - how much longer each node has been up than this machine; in the order of `names` */
export async function skewedClocks(
  rig: VipRig,
  names: readonly string[],
  days: readonly number[],
): Promise<ReadonlyMap<string, NodeClock>> {
  const clocks = names.map(async (name, at) => {
    const clock = await clockOf(rig.place(name), path.join(rig.stateDir(name), '../clock'), days[at] ?? 0);
    return [name, clock] as const;
  });
  return new Map(await Promise.all(clocks));
}

async function clockOf(place: Place, folder: string, days: number): Promise<NodeClock> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = path.join(folder, 'ahead-ms');
  const setAheadS = (seconds: number) => {
    writeFileSync(`${file}.new`, String(seconds * 1000));
    renameSync(`${file}.new`, file);
  };
  setAheadS(0);
  const nft = path.join(folder, 'nft');
  writeFileSync(nft, nftScript(file, must('which', 'nft').trim()));
  chmodSync(nft, 0o700);
  const holder = await uptimeHolder(place, days * dayS);
  return {
    enter: [...place.enter, 'nsenter', `--target=${String(holder)}`, '--time', '--'],
    flags: [`--import=${preload}`],
    env: { ...process.env, PATH: `${folder}:${process.env['PATH'] ?? ''}`, RIG_CLOCK_FILE: file },
    setAheadS,
  };
}

const nftScript = (file: string, nft: string) => `#!/bin/sh
[ "$1" = -f ] || exec ${nft} "$@"
ahead=$(($(cat ${file}) / 1000))
perl -pe "s/meta time < (\\d+)/'meta time < ' . (\\$1 - ($ahead))/e" | ${nft} "$@"
`;

/** It is in the network of the rig, which takes it away at the end. @returns its pid */
async function uptimeHolder({ enter }: Place, seconds: number): Promise<number> {
  const [program = '', ...before] = enter;
  const offsets = [`--monotonic=${String(seconds)}`, `--boottime=${String(seconds)}`];
  const script = ['sh', '-c', 'echo; exec sleep infinity >/dev/null'];
  const holder = spawn(program, [...before, 'unshare', '--time', ...offsets, ...script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  holder.stdout.destroy();
  holder.unref();
  return holder.pid ?? 0;
}
