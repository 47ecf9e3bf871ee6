/**
 * How fast this machine is at the moment, so that goals in milliseconds mean the same everywhere: a
 * shared machine is two times slower in one hour than in another.
 */
import { spawnSync } from 'node:child_process';
import { msBetween, now } from './place.mjs';

/** What `node -e 0` took on the machine, and on the quiet day, for which the goals were set. */
export const referenceMs = 57;

/**
 * Times of `node -e 0`, in milliseconds, in as bare an environment as all that is measured: with
 * NODE_EXTRA_CA_CERTS in it, Node.js 20 parses every certificate of that file at each start.
 */
export function lookAtPace(times = 7) {
  return Array.from({ length: times }, () => {
    const from = now();
    spawnSync(process.execPath, ['-e', '0'], { stdio: 'ignore', env: { PATH: process.env.PATH } });
    return msBetween(from, now());
  });
}

/** Measures that a slow processor makes larger. */
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
