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

/** What cannot do its work before which other is ready, whatever the units say. */
const gates = {
  containerd: [],
  etcd: [],
  'kube-apiserver': ['etcd'],
  'kube-controller-manager': ['kube-apiserver'],
  'kube-scheduler': ['kube-apiserver'],
  kubelet: ['containerd', 'kube-apiserver'],
  'kube-proxy': ['kube-apiserver'],
};
const programs = Object.keys(gates);

/** The prober may see it later than k3s-lite, by its interval and the time of an answer of a program that is busy starting. */
const proberLagMs = 100;

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
 * From the end backwards: the unit that was ready last, then the one that it was waiting for. A
 * gate that became ready after the start was none: the unit was started without it.
 *
 * @param {{At: Record<string, number>}} result when each unit was truly ready, the node, and when k3s-lite said so
 * @param {Map<string, {start: number}>} stamps
 */
export function overheadOf({ At }, stamps) {
  const startOf = (name) => stamps.get(name).start;
  const later = (a, b) => (At[b] > At[a] ? b : a);
  let unit = programs.reduce(later);
  // The node's Ready is the last work of whichever program it followed.
  const end = Math.max(At[unit], At.node);
  const units = [unit];
  let selfMs = end - startOf(unit);
  let betweenMs = 0;
  for (;;) {
    const started = startOf(unit);
    const waitedFor = gates[unit].filter((name) => At[name] <= started + proberLagMs);
    if (waitedFor.length === 0) break;
    const gate = waitedFor.reduce(later);
    const ready = Math.min(At[gate], started);
    selfMs += ready - startOf(gate);
    betweenMs += started - ready;
    units.unshift(gate);
    unit = gate;
  }
  const beforeMs = startOf(unit);
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
