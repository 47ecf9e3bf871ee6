/** From the start of a new k3s-lite, after the old one was killed, to its word that all is ready: with every process adopted. */
import { closeSync, mkdirSync, openSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chain, readStamps, wide, writeUnits } from '../graphs.mjs';
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
  const output = path.join(folder, 'output.log');
  writeFileSync(output, '');
  const start = async () => {
    const { size } = statSync(output);
    const from = now();
    const child = spawnIn(folder, argv);
    supervisors.push(child);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    const ready = await untilReady(output, size);
    return { child, ended, ms: msBetween(from, ready) };
  };
  try {
    const first = await start();
    // A process is ready when it is spawned, which is a little before it is its program.
    while (readStamps(readFileSync(stamps, 'utf8'), 0n).size < nodes.length) await sleep(20);
    const before = living(stamps).sort();
    first.child.kill('SIGKILL');
    await first.ended;
    const second = await start();
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

/** When the output said, from `offset` on, that all is ready. */
async function untilReady(output, offset) {
  const limit = now() + 60_000_000_000n;
  let seen = '';
  const fd = openSync(output, 'r');
  try {
    for (;;) {
      const at = now();
      const chunk = Buffer.alloc(1 << 20);
      const length = readSync(fd, chunk, 0, chunk.length, offset);
      offset += length;
      // The rest of a word that was cut in two.
      seen = `${seen.slice(-20)}${chunk.toString('utf8', 0, length)}`;
      if (seen.includes('"up.ready"')) return at;
      if (at > limit) throw new Error(`not ready in time:\n${seen.slice(-2000)}`);
      if (length === 0) await sleep(2);
    }
  } finally {
    closeSync(fd);
  }
}
