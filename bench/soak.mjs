/**
 * `npm run soak [-- --minutes 30] [--rate 2000] [--seed N]`: one balancer for half an hour, with clients that
 * come and go, some that stay, and servers that leave the list and come into it all the time. It holds when
 * no connection was lost, no socket is left at the end, and memory has not grown. The last line is the result
 * as JSON; with `--record FILE` it is a row of that file's table, too.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Scene } from './balancer-scene.mjs';
import { whileComingAndGoing } from './coming-and-going.mjs';
import { machine, nativePrograms, withFolder } from './place.mjs';
import { median } from './statistics.mjs';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    rate: { type: 'string', default: '2000' },
    seed: { type: 'string', default: String(Math.floor(Date.now() / 1000) % 2_000_000_000) },
    record: { type: 'string' },
  },
});
const minutes = Number(values.minutes);
const perSecond = Number(values.rate);
const seed = Number(values.seed);
if (!(minutes > 0 && perSecond > 0 && seed > 0)) {
  console.error('usage: npm run soak -- [--minutes 30] [--rate 2000] [--seed N]');
  process.exit(2);
}
/** How much larger the last quarter may be than the second: less than what V8 does by itself between two collections. */
const allowedGrowth = 1.15;
/** Connections that are made at the same time, and ones that stay. */
const clients = 64;
const staying = 200;
const recordHere = '<!-- `npm run soak` writes its row above this line -->';

async function soak(scene) {
  const servers = [await scene.server(), await scene.server(), await scene.server()];
  const proxy = await scene.ours({ policy: 'weighted-random' }, ...servers);
  const sockets = () => socketsOf(proxy.pid);
  const idleSockets = sockets();
  const idleMb = rssMbOf(proxy.pid);
  const memory = [];
  const how = { seed, onChange: () => memory.push(rssMbOf(proxy.pid)) };
  const {
    loaded: [fresh, held],
    changes,
  } = await whileComingAndGoing(scene, proxy, { coming: servers }, how, () =>
    Promise.all([
      scene.load('connections', proxy.address, minutes * 60, clients, perSecond),
      scene.load('hold', proxy.address, minutes * 60, staying),
    ]),
  );
  await untilCalm(sockets, idleSockets);
  const quarter = Math.max(1, Math.floor(memory.length / 4));
  const [before, after] = [memory.slice(quarter, 2 * quarter), memory.slice(-quarter)].map(median);
  return {
    minutes,
    seed,
    connections: fresh.Done,
    perSecond: Math.round(fresh.Done / fresh.Seconds),
    lost: fresh.Failed,
    held: held.Done,
    endedWithTheirServer: held.Failed,
    changes,
    socketsLeft: sockets() - idleSockets,
    sockets: { start: idleSockets, end: sockets() },
    byServer: countByServer(await proxy.events()),
    memoryMb: rounded({ start: idleMb, second: before, last: after, end: rssMbOf(proxy.pid) }),
    hasHeld: fresh.Failed === 0 && fresh.Done > 0 && sockets() <= idleSockets && after <= before * allowedGrowth,
    error: fresh.FirstError,
  };
}

async function untilCalm(sockets, idle) {
  for (let look = 0; look < 100 && sockets() > idle; look++) await sleep(100);
}

/** As far as the ring of events still has them. */
function countByServer(events) {
  const counts = {};
  for (const { event } of events) {
    if (event.type === 'lb.routed') counts[event.server] = (counts[event.server] ?? 0) + event.tookMs.length;
  }
  return counts;
}

/** The newest row last. */
function record(file, result) {
  const { date, commit, load } = machine();
  const { memoryMb, sockets } = result;
  const cells = [
    date,
    commit,
    result.seed,
    `${result.minutes} min`,
    `${result.connections.toLocaleString('en')} (${result.perSecond}/s of ${perSecond}/s)`,
    result.lost,
    `${result.held}, ${result.endedWithTheirServer}`,
    result.changes,
    `${memoryMb.start}, ${memoryMb.second}, ${memoryMb.last}, ${memoryMb.end} MB`,
    `${sockets.start}, ${sockets.end}`,
    `${result.hasHeld ? 'holds' : 'FAILED'} (load ${load.toFixed(1)} at the end)`,
  ];
  const text = readFileSync(file, 'utf8');
  if (!text.includes(recordHere)) throw new Error(`${file} has no place for the row: ${recordHere}`);
  writeFileSync(file, text.replace(recordHere, `| ${cells.join(' | ')} |\n${recordHere}`));
}

const rounded = (figures) =>
  Object.fromEntries(Object.entries(figures).map(([name, figure]) => [name, Math.round(figure)]));
const socketsOf = (pid) => readdirSync(`/proc/${pid}/fd`).length;
const rssMbOf = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

await withFolder(async (folder) => {
  const scene = new Scene(folder, nativePrograms().outside);
  try {
    const result = await soak(scene);
    if (values.record !== undefined) record(values.record, result);
    console.log(JSON.stringify(result));
    process.exitCode = result.hasHeld ? 0 : 1;
  } finally {
    await scene.end();
  }
});
process.exit();
