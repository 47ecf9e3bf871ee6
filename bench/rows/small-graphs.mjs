/**
 * Chain, wide and diamond graphs of units that are ready at once: time from nothing to the last
 * unit's own stamp, stop time, memory. And the overhead on a graph whose units have work to do.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { chain, criticalPath, diamonds, layered, shellScript, wide, writeUnits } from '../graphs.mjs';
import { processCompose, processComposeCommand, processComposeProject } from '../neighbours.mjs';
import { cli, inMemory, nativePrograms, Skip, withFolder } from '../place.mjs';
import { interleave, median, summary } from '../statistics.mjs';
import { runSupervisor } from '../supervisor.mjs';

/**
 * Units; those that others are measured with are small enough to be done by any of them. The goals are what process-compose
 * took when they were set; beside it in the same run it is faster than these.
 */
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
  const neighbour = neighbourOrReason(say);
  const rows = [];
  for (const { name, nodes, goalMs, isLarge } of graphs) {
    if (quick && isLarge) continue;
    const { program } = neighbour;
    const beside = isLarge || program === undefined ? {} : neighbourArms(nodes, stamp, program);
    const sample = await interleave(
      {
        'k3s-lite': () => once(nodes, stamp, upOf),
        sh: () => once(nodes, stamp, shellOf, { isSupervisor: false }),
        ...beside,
      },
      isLarge ? Math.min(runs, 3) : runs,
      (round) => say(`${name}, run ${round + 1}`),
    );
    const ours = (key) => sample['k3s-lite'].map((each) => each[key]);
    const theirs = (key) => (sample[fastest] ?? []).map((each) => each[key]);
    const others = (key) =>
      Object.fromEntries(Object.keys(beside).map((arm) => [arm, median(sample[arm].map((each) => each[key]))]));
    const shell = { 'sh, unsupervised': median(sample.sh.map((each) => each.lastMs)) };
    rows.push(row(name, 'start', ours('lastMs'), 'ms', goalMs, { ...others('lastMs'), ...shell }));
    if (!isLarge) {
      rows.push({
        ...row(
          name,
          'start, share of process-compose’s',
          theirs('lastMs').map((each, round) => ours('lastMs')[round] / each),
          '×',
          goalMs === undefined ? undefined : 1,
        ),
        ...(neighbour.reason === undefined ? {} : { note: neighbour.reason }),
      });
    }
    rows.push(
      row(name, 'stop', ours('stopMs'), 'ms', undefined, others('stopMs')),
      row(name, 'memory (RSS)', ours('rssMb'), 'MB', goalMs === undefined ? undefined : 80, others('rssMb')),
    );
    const left = Math.max(...ours('left'));
    if (left > 0) throw new Error(`${name}: ${left} units left after the stop`);
  }
  return rows;
}

const fastest = 'process-compose';

function neighbourArms(nodes, stamp, program) {
  const arm = (project) => () => once(nodes, stamp, (folder) => neighbourOf(folder, program, project));
  return { [fastest]: arm('project.yaml'), 'process-compose, by a shell': arm('project-shell.yaml') };
}

/** What cannot be built keeps nobody else from being measured. */
function neighbourOrReason(say) {
  try {
    return { program: processCompose(say) };
  } catch (error) {
    if (!(error instanceof Skip)) throw error;
    return { reason: error.message };
  }
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
    const { seen } = await once(nodes, stamp, upOf, { what: 'ready' });
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

const upOf = (folder) => ({
  argv: [process.execPath, cli, 'up', '--units', path.join(folder, 'units'), '--data-dir', path.join(folder, 'data')],
});

const shellOf = (folder) => ({ argv: ['sh', path.join(folder, 'start.sh')] });

const neighbourOf = (folder, program, project) =>
  processComposeCommand(program, path.join(folder, project), path.join(folder, 'process-compose.log'));

function once(nodes, stamp, commandOf, options = {}) {
  return withFolder(async (folder) => {
    const stamps = path.join(folder, 'stamps');
    const run = ({ name, workMs }) => [...stamp, stamps, name, ...(workMs === undefined ? [] : [String(workMs)])];
    mkdirSync(path.join(folder, 'data'));
    writeUnits(nodes, path.join(folder, 'units'), run);
    writeFileSync(path.join(folder, 'start.sh'), shellScript(nodes, run));
    writeFileSync(path.join(folder, 'project.yaml'), processComposeProject(nodes, run));
    writeFileSync(path.join(folder, 'project-shell.yaml'), processComposeProject(nodes, run, { throughShell: true }));
    return runSupervisor({ ...commandOf(folder), folder, stamps, expected: nodes.length, ...options });
  }, inMemory);
}

export function row(subject, measure, values, unit, goal, others = {}) {
  return { subject, measure, unit, ...summary(values), ...(goal === undefined ? {} : { goal }), others };
}
