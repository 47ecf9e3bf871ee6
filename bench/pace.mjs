/**
 * How fast this machine starts processes at the moment, so that goals in milliseconds mean the same
 * everywhere: the same shared machine is two times slower in one hour than in another.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { shellScript, wide } from './graphs.mjs';
import { nativePrograms, withFolder } from './place.mjs';
import { runSupervisor } from './supervisor.mjs';

const processes = 200;

/**
 * What a shell took for it, without any supervision, on the machine and the quiet day for which the
 * goals were set (2026-11-21). Not `node -e 0`: that depends on the environment, because with
 * NODE_EXTRA_CA_CERTS in it Node.js 20 parses every certificate of that file at each start.
 */
export const referenceMs = 49.7;

/** How long a shell takes to start 200 processes, to the last one's own stamp, in milliseconds. */
export async function lookAtPace(times = 3) {
  const { stamp } = nativePrograms();
  const nodes = wide(processes);
  const found = [];
  for (let round = 0; round < times; round++) {
    const { lastMs } = await withFolder((folder) => {
      const stamps = path.join(folder, 'stamps');
      mkdirSync(path.join(folder, 'data'));
      writeFileSync(
        path.join(folder, 'start.sh'),
        shellScript(nodes, ({ name }) => [...stamp, stamps, name]),
      );
      const argv = ['sh', path.join(folder, 'start.sh')];
      return runSupervisor({ argv, folder, stamps, expected: nodes.length, isSupervisor: false, settleMs: 0 });
    });
    found.push(lastMs);
  }
  return found;
}

/** Measures that a slow machine makes larger. */
const growing = new Set(['ms', '% of a core']);

/**
 * The goal as it is on this machine: what was set, times how much slower this machine is. A faster
 * one makes no goal harder, so that figures stay comparable with those of others.
 *
 * @param {{ unit: string, goal?: number, paceMs?: number }} row
 */
export function goalHere({ unit, goal, paceMs }) {
  if (goal === undefined || paceMs === undefined || !growing.has(unit)) return goal;
  return goal * Math.max(1, paceMs / referenceMs);
}
