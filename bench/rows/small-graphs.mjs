/**
 * Chain, wide and diamond graphs of units that are ready at once: time from nothing to the last
 * unit's own stamp, stop time, memory. And the overhead on a graph whose units have work to do.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { chain, criticalPath, diamonds, layered, shellScript, wide, writeUnits } from '../graphs.mjs';
import { cli, nativePrograms, withFolder } from '../place.mjs';
import { interleave, median, summary } from '../statistics.mjs';
import { runSupervisor } from '../supervisor.mjs';

/** Units, and what others need for the same (ms; measured on the reference machine, reference figures of the project). */
const graphs = [
  { name: 'chain 100', nodes: chain(100), goalMs: 342 },
  { name: 'wide 200', nodes: wide(200), goalMs: 311 },
  { name: 'diamonds 200', nodes: diamonds(200, 8) },
  { name: 'chain 1000', nodes: chain(1000), isLarge: true },
  { name: 'wide 1000', nodes: wide(1000), isLarge: true },
  { name: 'diamonds 1000', nodes: diamonds(1000, 8), isLarge: true },
];

export async function smallGraphs({ runs, quick, say }) {
  const { stamp } = nativePrograms();
  const rows = [];
  for (const { name, nodes, goalMs, isLarge } of graphs) {
    if (quick && isLarge) continue;
    const sample = await interleave(
      {
        'k3s-lite': () => once(nodes, stamp, (folder) => upOf(folder)),
        sh: () => once(nodes, stamp, (folder) => ['sh', path.join(folder, 'start.sh')], { isSupervisor: false }),
      },
      isLarge ? Math.min(runs, 3) : runs,
      (round) => say(`${name}, run ${round + 1}`),
    );
    const ours = (key) => sample['k3s-lite'].map((each) => each[key]);
    const others = { 'sh, unsupervised': median(sample.sh.map((each) => each.lastMs)) };
    rows.push(
      row(name, 'start', ours('lastMs'), 'ms', goalMs, others),
      row(name, 'stop', ours('stopMs'), 'ms'),
      row(name, 'memory (RSS)', ours('rssMb'), 'MB', goalMs === undefined ? undefined : 80),
    );
    const left = Math.max(...ours('left'));
    if (left > 0) throw new Error(`${name}: ${left} units left after the stop`);
  }
  return rows;
}

/** Observed total less the true self times along the path that ended last, on a graph with work. */
export async function syntheticOverhead({ runs, say }) {
  const { stamp } = nativePrograms();
  const nodes = layered({ layers: 8, width: 4, minMs: 60, maxMs: 400 });
  const overheads = [];
  const shares = [];
  const perLevel = [];
  for (let round = 0; round < runs; round++) {
    say(`8 layers of 4 units, run ${round + 1}`);
    const { seen } = await once(nodes, stamp, (folder) => upOf(folder), { what: 'ready' });
    const { totalMs, selfMs, path: units } = criticalPath(nodes, seen);
    const first = seen.get(units[0]).start;
    overheads.push(totalMs - selfMs);
    shares.push((100 * (totalMs - selfMs)) / selfMs);
    perLevel.push((totalMs - first - selfMs) / (units.length - 1));
  }
  const name = '8 layers × 4 units, 60–400 ms each';
  return [
    row(name, 'overhead', overheads, 'ms'),
    row(name, 'overhead, share of the critical path', shares, '%', 5),
    row(name, 'ready → dependent runs, per level', perLevel, 'ms', 3),
  ];
}

const upOf = (folder) => [
  process.execPath,
  cli,
  'up',
  '--units',
  path.join(folder, 'units'),
  '--data-dir',
  path.join(folder, 'data'),
];

function once(nodes, stamp, argvOf, options = {}) {
  return withFolder(async (folder) => {
    const stamps = path.join(folder, 'stamps');
    const run = ({ name, workMs }) => [...stamp, stamps, name, ...(workMs === undefined ? [] : [String(workMs)])];
    mkdirSync(path.join(folder, 'data'));
    writeUnits(nodes, path.join(folder, 'units'), run);
    writeFileSync(path.join(folder, 'start.sh'), shellScript(nodes, run));
    return runSupervisor({ argv: argvOf(folder), folder, stamps, expected: nodes.length, ...options });
  });
}

export function row(subject, measure, values, unit, goal, others = {}) {
  return { subject, measure, unit, ...summary(values), ...(goal === undefined ? {} : { goal }), others };
}
