/**
 * `npm run soak [-- --minutes 30]`: one balancer for half an hour, with clients that come and go, some that
 * stay, and servers that leave the list and come into it all the time. It holds when no connection was
 * lost, no socket is left at the end, and memory has not grown. The last line is the result as JSON.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Scene } from './balancer-scene.mjs';
import { nativePrograms, withFolder } from './place.mjs';
import { median } from './statistics.mjs';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '30' }, rate: { type: 'string', default: '200' } },
});
const minutes = Number(values.minutes);
const perSecond = Number(values.rate);
if (!(minutes > 0 && perSecond > 0)) {
  console.error('usage: npm run soak -- [--minutes 30] [--rate 200]');
  process.exit(2);
}
/** How much larger the last quarter may be than the second: less than what V8 does by itself between two collections. */
const allowedGrowth = 1.15;
/** Between two changes of the list. */
const changeEveryMs = 3_000;
/** Longer than a removed server is given to let its connections end. Source: the balancer's graceRemoved. */
const leaveMs = 6_000;

async function soak(scene) {
  let servers = [await scene.server(), await scene.server(), await scene.server()];
  const proxy = await scene.ours({ policy: 'weighted-random' }, ...servers);
  const sockets = () => socketsOf(proxy.pid);
  const idleSockets = sockets();
  const seconds = minutes * 60;
  const loads = Promise.all([
    scene.load('connections', proxy.address, seconds, 32, perSecond),
    scene.load('hold', proxy.address, seconds, 200),
  ]);
  let isOver = false;
  const memory = [];
  const changes = (async () => {
    for (let count = 0; !isOver; count++) {
      await sleep(changeEveryMs);
      memory.push(rssMbOf(proxy.pid));
      // The oldest leaves: in the end all have been exchanged many times. What was held on it ends with it.
      const [leaving, one, other] = servers;
      const coming = await scene.server();
      servers = [one, other, coming];
      await proxy.update(servers);
      sleep(leaveMs).then(() => leaving.child.kill('SIGTERM'));
    }
    return memory.length;
  })();
  const [fresh, held] = await loads;
  isOver = true;
  const changed = await changes;
  await untilCalm(sockets, idleSockets);
  const quarter = Math.max(1, Math.floor(memory.length / 4));
  const [before, after] = [memory.slice(quarter, 2 * quarter), memory.slice(-quarter)].map(median);
  const result = {
    minutes,
    connections: fresh.Done,
    perSecond: Math.round(fresh.Done / fresh.Seconds),
    lost: fresh.Failed,
    held: held.Done,
    endedWithTheirServer: held.Failed,
    changes: changed,
    socketsLeft: sockets() - idleSockets,
    byServer: countByServer(await proxy.events()),
    memoryMb: { second: Math.round(before), last: Math.round(after) },
    error: fresh.FirstError,
  };
  console.log(JSON.stringify(result));
  return result.lost === 0 && result.connections > 0 && result.socketsLeft <= 0 && after <= before * allowedGrowth;
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

const socketsOf = (pid) => readdirSync(`/proc/${pid}/fd`).length;
const rssMbOf = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

await withFolder(async (folder) => {
  const scene = new Scene(folder, nativePrograms().outside);
  try {
    process.exitCode = (await soak(scene)) ? 0 : 1;
  } finally {
    await scene.end();
  }
});
process.exit();
