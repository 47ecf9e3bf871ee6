/**
 * What k3s-lite itself adds to the start of a node: from its spawn to its word that all is ready,
 * less the true self times along the path that ended last.
 *
 * All times come from outside: a unit's start is stamped by a wrapper that then becomes the
 * program, its readiness is seen by a prober that asks every millisecond. Everything that is no
 * work of a component counts as overhead: Node.js's own start, loading units, our builtins,
 * noticing that something is ready, spawning.
 */
import { copyFileSync, cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { readStamps } from '../graphs.mjs';
import { nativePrograms, Skip, withFolder } from '../place.mjs';
import { requireWorld } from '../world.mjs';
import { prepareStage, startOurs } from './cluster-start.mjs';
import { row } from './small-graphs.mjs';

const programs = [
  'containerd',
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kube-proxy',
];

export async function clusterOverhead({ runs, say, binDir }) {
  requireWorld();
  return withFolder(async (folder) => {
    const stage = await prepareStage(folder, binDir);
    const stamps = path.join(folder, 'stamps');
    const wrapped = wrapPrograms(stage, stamps);
    const samples = [];
    // Round -1: k3s-lite asks programs that it does not know for their versions.
    for (let round = -1; round < runs; round++) {
      say(`overhead on a real node, run ${round + 1} of ${runs}`);
      rmSync(stamps, { force: true });
      const result = await startOurs(
        { ...stage, binDir: wrapped },
        { IntervalUs: 1000, Stop: true, waitFor: [...programs, 'node', 'declared'], withPod: false },
      );
      if (round >= 0) samples.push(overheadOf(result, readStamps(readFileSync(stamps, 'utf8'), BigInt(result.T0))));
    }
    const of = (key) => samples.map((sample) => sample[key]);
    return [
      row('real node', 'overhead, nothing → all ready', of('overheadMs'), 'ms'),
      row('real node', 'overhead, share of the critical path', of('share'), '%', 5),
      row('real node', 'of it: until the first spawn on the path', of('beforeMs'), 'ms'),
      row('real node', 'of it: between units', of('betweenMs'), 'ms'),
      row('real node', 'of it: true end → said so', of('afterMs'), 'ms'),
      row('real node', `critical path (${samples.at(-1).units.join(' → ')})`, of('selfMs'), 'ms'),
    ];
  });
}

/**
 * From the end backwards: the unit that was ready last, then what it waited for. What that was is
 * seen, not read from the graph: of all units ready before its start, the last.
 *
 * @param {{At: Record<string, number>}} result @param {Map<string, {start: number}>} stamps
 */
export function overheadOf({ At }, stamps) {
  // The node's Ready is the last work of whichever program it followed.
  const ends = new Map(programs.map((name) => [name, At[name]]));
  const started = (name) => stamps.get(name).start;
  const all = [...ends.keys()];
  let unit = all.reduce((a, b) => (ends.get(b) > ends.get(a) ? b : a));
  const end = Math.max(ends.get(unit), At.node);
  const units = [unit];
  let selfMs = end - started(unit);
  let betweenMs = 0;
  for (;;) {
    const before = all.filter((name) => !units.includes(name) && ends.get(name) <= started(unit));
    if (before.length === 0) break;
    const last = before.reduce((a, b) => (ends.get(b) > ends.get(a) ? b : a));
    selfMs += ends.get(last) - started(last);
    betweenMs += started(unit) - ends.get(last);
    units.unshift(last);
    unit = last;
  }
  const beforeMs = started(unit);
  const afterMs = At.declared - end;
  const overheadMs = beforeMs + betweenMs + afterMs;
  return { units, selfMs, overheadMs, beforeMs, betweenMs, afterMs, share: (100 * overheadMs) / selfMs };
}

/** A folder of programs that stamp their start and then become the real ones. */
function wrapPrograms({ folder, binDir }, stamps) {
  const { wrap } = nativePrograms();
  if (wrap === undefined) throw new Skip('a C compiler is needed');
  const wrapped = path.join(folder, 'wrapped');
  cpSync(binDir, wrapped, { recursive: true, verbatimSymlinks: true });
  for (const name of programs) {
    rmSync(path.join(wrapped, name));
    copyFileSync(wrap, path.join(wrapped, name));
  }
  writeFileSync(path.join(wrapped, 'wrap.conf'), `${stamps}\n${binDir}\n`);
  return wrapped;
}
