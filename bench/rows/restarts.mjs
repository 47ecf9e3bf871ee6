/**
 * A unit that is killed again and again: from the SIGKILL to the first instruction of its next
 * process, and the memory of the supervisor afterwards. The backoff is taken away: it is a setting.
 */
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cli, msBetween, nativePrograms, now, withFolder } from '../place.mjs';
import { living, memoryOf, runSupervisor } from '../supervisor.mjs';
import { row } from './small-graphs.mjs';

const restart = 'restart: {backoff: {first: 1ms, max: 1ms, jitter: 0}, limit: {starts: 1000000}}';
/** What V8 compiles and grows in the beginning is no cost of a restart. */
const warmUp = 100;

export async function restarts({ quick, say }) {
  const { stamp } = nativePrograms();
  const count = quick ? 200 : 1000;
  return withFolder(async (folder) => {
    const stamps = path.join(folder, 'stamps');
    const units = path.join(folder, 'units');
    for (const made of [units, path.join(folder, 'data')]) mkdirSync(made);
    const run = JSON.stringify([...stamp, stamps, 'victim']);
    writeFileSync(path.join(units, 'victim.yaml'), `about: is killed\nrun: ${run}\n${restart}\n`);
    const argv = [process.execPath, cli, 'up', '--units', units, '--data-dir', path.join(folder, 'data')];
    const { latencies, warmMb, afterMb, left } = await runSupervisor({
      ...{ argv, folder, stamps, expected: 1 },
      async during(supervisor) {
        const measured = [];
        let warm;
        for (let number = 1; number <= warmUp + count; number++) {
          if (number % 50 === 0) say(`restart ${number} of ${warmUp + count}`);
          measured.push(await killOnce(stamps));
          if (number === warmUp) warm = memoryOf(supervisor.pid).rssMb;
        }
        await sleep(1000);
        return { latencies: measured.slice(warmUp), warmMb: warm, afterMb: memoryOf(supervisor.pid).rssMb };
      },
    });
    if (left > 0) throw new Error(`${left} processes of the unit left after the stop`);
    const name = `a unit killed ${count} times`;
    return [
      row(name, 'kill -9 → runs again, without backoff', latencies, 'ms'),
      row(name, 'memory (RSS) afterwards', [afterMb], 'MB'),
      row(name, 'growth since its first hundred restarts', [afterMb - warmMb], 'MB'),
    ];
  });
}

/** Kills the one unit there is, and returns the milliseconds until the next one's own stamp. */
async function killOnce(stamps) {
  const [pid, ...others] = living(stamps);
  if (pid === undefined || others.length > 0) throw new Error(`${others.length + (pid ? 1 : 0)} victims run`);
  const { size } = statSync(stamps);
  const killed = now();
  process.kill(pid, 'SIGKILL');
  while (statSync(stamps).size === size) {
    if (msBetween(killed, now()) > 10_000) throw new Error('the unit did not come back within 10 s');
    await sleep(2);
  }
  const [line = ''] = readFileSync(stamps, 'utf8').trimEnd().split('\n').slice(-1);
  return msBetween(killed, BigInt(line.split(' ')[2]));
}
