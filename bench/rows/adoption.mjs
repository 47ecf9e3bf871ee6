/** From the start of a new k3s-lite, after the old one was killed, to its word that all is ready: with every process adopted. */
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chain, wide, writeUnits } from '../graphs.mjs';
import { atEnd, cli, msBetween, nativePrograms, now, withFolder } from '../place.mjs';
import { living, spawnIn } from '../supervisor.mjs';
import { row } from './small-graphs.mjs';

const graphs = [
  { name: 'chain 20', nodes: chain(20) },
  { name: 'wide 200', nodes: wide(200) },
];

export async function adoption({ runs, say }) {
  const { stamp } = nativePrograms();
  const rows = [];
  for (const { name, nodes } of graphs) {
    const times = [];
    for (let round = 0; round < runs; round++) {
      say(`adoption of ${name}, run ${round + 1}`);
      times.push(await withFolder((folder) => once(folder, nodes, stamp)));
    }
    rows.push(row(`${name}, k3s-lite killed`, 'new supervisor → all adopted and ready', times, 'ms'));
  }
  return rows;
}

async function once(folder, nodes, stamp) {
  const stamps = path.join(folder, 'stamps');
  mkdirSync(path.join(folder, 'data'));
  writeUnits(nodes, path.join(folder, 'units'), (node) => [...stamp, stamps, node.name]);
  const words = ['up', '--json', '--units', path.join(folder, 'units'), '--data-dir', path.join(folder, 'data')];
  const argv = [process.execPath, cli, ...words];
  const supervisors = [];
  const killAll = atEnd(() => {
    for (const child of supervisors) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    for (const pid of living(stamps)) process.kill(pid, 'SIGKILL');
  });
  const start = async (count) => {
    const from = now();
    const child = spawnIn(folder, argv);
    supervisors.push(child);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    const ready = await untilReady(path.join(folder, 'output.log'), count);
    return { child, ended, ms: msBetween(from, ready) };
  };
  try {
    const first = await start(1);
    const before = living(stamps).sort();
    first.child.kill('SIGKILL');
    await first.ended;
    const second = await start(2);
    const after = living(stamps).sort();
    if (after.length !== nodes.length || String(after) !== String(before)) {
      throw new Error(`${before.length} units before the kill, ${after.length} after it, not the same processes`);
    }
    second.child.kill('SIGTERM');
    await second.ended;
    const { length } = living(stamps);
    if (length > 0) throw new Error(`${length} units left after the stop`);
    return second.ms;
  } finally {
    killAll();
  }
}

/** When the output said for the `count`th time that all is ready. */
async function untilReady(output, count) {
  const limit = now() + 60_000_000_000n;
  for (;;) {
    const at = now();
    if (readFileSync(output, 'utf8').split('"up.ready"').length > count) return at;
    if (at > limit) throw new Error(`not ready in time:\n${readFileSync(output, 'utf8').slice(-2000)}`);
    await sleep(2);
  }
}
