/** The planner of virtual IPs in this process: no sockets, no files, one pure function. */
import { build } from 'esbuild';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { msBetween, now, withFolder } from '../place.mjs';
import { row } from './small-graphs.mjs';

const goalMs = 50;

export function planner({ runs, say }) {
  return withFolder(async (folder) => {
    const plan = await load(folder);
    const scene = `1000 addresses, 100 nodes`;
    const { owners } = plan(input(100));
    const eligible = (number) => new Set([0, 1, 2, 3, 4].map((step) => name((number * 7 + step * 19) % 100)));
    const restricted = plan(input(100, undefined, eligible)).owners;
    const cases = {
      'all are new': () => plan(input(100)),
      'nothing to do': () => plan(input(100, owners)),
      'a node joins': () => plan(input(101, owners)),
      'a node is lost': () => plan(input(99, owners)),
      'a node is lost, 5 eligible nodes each': () => plan(input(99, restricted, eligible)),
    };
    return Object.entries(cases).map(([measure, run]) => {
      say(`planner: ${measure}`);
      const times = Array.from({ length: runs * 3 }, () => {
        const from = now();
        run();
        return msBetween(from, now());
      });
      return row(`planner, ${scene}`, measure, times, 'ms', goalMs);
    });
  });
}

async function load(folder) {
  const outfile = path.join(folder, 'plan.mjs');
  const entry = path.resolve(import.meta.dirname, '../../src/vip/plan/plan.ts');
  await build({ entryPoints: [entry], bundle: true, platform: 'node', format: 'esm', outfile, logLevel: 'error' });
  const { plan } = await import(pathToFileURL(outfile).href);
  return plan;
}

const name = (number) => `node-${String(number)}`;

function input(nodes, owners = new Map(), eligible = () => undefined) {
  return {
    addresses: Array.from({ length: 1000 }, (_, number) => ({
      address: `10.1.${String(number >> 8)}.${String(number & 255)}`,
      weight: 1,
      eligible: eligible(number),
    })),
    nodes: Array.from({ length: nodes }, (_, number) => ({
      name: name(number),
      state: 'ready',
      capacity: 1,
      penalty: 0,
    })),
    owners,
    moving: new Set(),
    policy: { mayRebalance: true, startAbove: 1, stopBelow: 1, restMs: 0, movesAtOnce: 1000, movesPerHour: 1000 },
    recentMovesAtMs: [],
    nowMs: 0,
  };
}
