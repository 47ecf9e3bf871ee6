/** The planner of virtual IPs in this process: no sockets, no files, one pure function. */
import { build } from 'esbuild';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { msBetween, now, withFolder } from '../place.mjs';
import { seededRandom } from '../seeded-random.mjs';
import { row } from './small-graphs.mjs';

const goalMs = 50;

export function planner({ runs, say }) {
  return withFolder(async (folder) => {
    const { plan, weighByTraffic, trafficPolicy } = await load(folder);
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
    const byLoad = (levels, ...rest) => {
      const { addresses, policy, ...others } = input(...rest);
      return plan({
        ...others,
        addresses: weighByTraffic(addresses, levels),
        policy: { ...trafficPolicy(policy), restMs: 0 },
      });
    };
    const before = levels(() => false);
    const after = levels((number) => number % 10 === 0);
    const { owners: loaded } = byLoad(before, 100);
    const loadedRestricted = byLoad(before, 100, undefined, eligible).owners;
    Object.assign(cases, {
      'by load: all are new': () => byLoad(before, 100),
      'by load: nothing to do': () => byLoad(before, 100, loaded),
      'by load: a tenth has other traffic': () => byLoad(after, 100, loaded),
      'by load: a node joins': () => byLoad(before, 101, loaded),
      'by load: a node is lost': () => byLoad(before, 99, loaded),
      'by load: a node is lost, 5 eligible nodes each': () => byLoad(before, 99, loadedRestricted, eligible),
    });
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
  const rooms = ['plan', 'traffic-weight'].map((room) => `export * from './${room}.ts';`);
  await build({
    stdin: { contents: rooms.join(''), resolveDir: path.resolve(import.meta.dirname, '../../src/vip/plan') },
    ...{ bundle: true, platform: 'node', format: 'esm', outfile, logLevel: 'error' },
  });
  return import(pathToFileURL(outfile).href);
}

const name = (number) => `node-${String(number)}`;
const address = (number) => `10.1.${String(number >> 8)}.${String(number & 255)}`;

/** Of traffic, as nodes tell them: of few addresses much, of many little. @param isOther - whose is not what it was */
function levels(isOther) {
  const random = seededRandom(1);
  return new Map(
    Array.from({ length: 1000 }, (_, number) => {
      const [one, other] = [random(), random()];
      return [address(number), Math.floor(24 * (isOther(number) ? other : one) ** 2)];
    }),
  );
}

function input(nodes, owners = new Map(), eligible = () => undefined) {
  return {
    addresses: Array.from({ length: 1000 }, (_, number) => ({
      address: address(number),
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
