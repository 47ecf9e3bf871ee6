/**
 * The balancer beside haproxy in TCP mode, and beside no proxy at all, in one run: what a proxy adds
 * to a word and its answer, how much passes through, how many connections it makes, and how long
 * clients are without an answer when a server goes. Proxies have one core, load and servers the other.
 */
import { availableParallelism } from 'node:os';
import { hasPackages } from '../../scripts/setup/debian.mjs';
import { cpuMsOf, Scene } from '../balancer-scene.mjs';
import { whileComingAndGoing } from '../coming-and-going.mjs';
import { nativePrograms, Skip, withFolder } from '../place.mjs';
import { interleave } from '../statistics.mjs';
import { row } from './small-graphs.mjs';

const clients = 16;
/** Held at once by one process. Source: issue 5; with nofile at 20,000 more are not possible. */
const heldConnections = 8000;
/** Asked for while servers come and go. Source: issue 5. */
const freshPerSecond = 2000;

export async function balancer({ runs, quick, say }) {
  if (availableParallelism() < 2) throw new Skip('proxy and load need a core each');
  if (!(await hasPackages(['haproxy'], 'the benchmark of the balancer'))) throw new Skip('haproxy is needed');
  const { outside } = nativePrograms();
  return withFolder(async (folder) => {
    const scene = new Scene(folder, outside);
    try {
      return await measure(scene, { rounds: quick ? 1 : Math.min(runs, 3), seconds: quick ? 2 : 5, say });
    } finally {
      await scene.end();
    }
  });
}

async function measure(scene, { rounds, seconds, say }) {
  const [first, second] = [await scene.server(), await scene.server()];
  const arms = {
    none: { address: first.address, pid: undefined },
    haproxy: await scene.haproxy(first, second),
    'k3s-lite': await scene.ours({}, first, second),
  };
  // What is compiled while it runs is compiled before.
  for (const { address } of Object.values(arms)) await scene.load('connections', address, 3, clients);
  const samples = await interleave(
    Object.fromEntries(Object.entries(arms).map(([name, arm]) => [name, () => showing(scene, arm, seconds)])),
    rounds,
    (round) => say(`balancer, round ${round + 1}`),
  );
  say('balancer: failover');
  const gaps = {};
  for (const name of ['haproxy', 'k3s-lite']) gaps[name] = await scene.failover(name);
  say(`balancer: ${heldConnections} connections`);
  const held = await scene.hold(arms['k3s-lite'], heldConnections);
  say('balancer: servers come and go');
  // Longer than a silent connection is left alone: what the kernel asks then has to be answered.
  const going = await whileServersGo(scene, seconds * 12);
  return [...rowsOf(samples, gaps, held), ...rowsOfGoing(going)];
}

/** Some servers stay and carry what is held; others come into the list and leave it, while clients come and go. */
async function whileServersGo(scene, seconds) {
  const [staying, coming] = [
    [await scene.server(), await scene.server()],
    [await scene.server(), await scene.server()],
  ];
  const proxy = await scene.ours({ policy: 'weighted-random' }, ...staying);
  return await scene.hold(proxy, heldConnections, {
    seconds,
    async meanwhile() {
      await proxy.update([...staying, ...coming]);
      const { loaded, changes } = await whileComingAndGoing(scene, proxy, { staying, coming }, { seed: 1 }, () =>
        scene.load('connections', proxy.address, seconds, 4 * clients, freshPerSecond),
      );
      return { ...loaded, changes };
    },
  });
}

/** Everything that one arm can show. */
async function showing(scene, { address, pid }, seconds) {
  const timed = async (kind, count) => {
    const before = pid === undefined ? 0 : cpuMsOf(pid);
    const result = await scene.load(kind, address, seconds, count);
    return { ...result, cpuMs: pid === undefined ? 0 : cpuMsOf(pid) - before };
  };
  const words = await timed('words', clients);
  const flood = await timed('flood', 2);
  const connections = await timed('connections', 2 * clients);
  return { words, flood, connections };
}

function rowsOf(samples, gaps, held) {
  const medianOf = (name, pick) => row('', '', samples[name].map(pick), '').median;
  const compared = (measure, unit, pick) =>
    row('balancer', measure, samples['k3s-lite'].map(pick), unit, undefined, {
      haproxy: medianOf('haproxy', pick),
      'no proxy': medianOf('none', pick),
    });
  const added = (measure, pick) => {
    const bare = medianOf('none', pick);
    const ours = samples['k3s-lite'].map((one) => pick(one) - bare);
    return row('balancer', measure, ours, 'ms', undefined, { haproxy: medianOf('haproxy', pick) - bare });
  };
  // Goals against haproxy are shares of what it does in the same run. Source: issue 5.
  const [p50, p99] = [({ words }) => words.P50 / 1000, ({ words }) => words.P99 / 1000];
  const shareOf = (measure, pick, goal) =>
    row('balancer', measure, [medianOf('k3s-lite', pick) / medianOf('haproxy', pick)], '×', goal);
  const connected = ({ connections }) => connections.Done / connections.Seconds;
  const bulk = ({ flood }) => flood.Bytes / flood.Seconds / 1e6;
  const addedP99 = added('added to a word and its answer, p99', p99);
  return [
    added('added to a word and its answer, p50', p50),
    addedP99,
    row('balancer', 'p99 added, times haproxy’s', [addedP99.median / addedP99.others.haproxy], '×', 2),
    compared('words and answers', '/s', ({ words }) => words.Done / words.Seconds),
    compared('processor per word and answer', 'µs', ({ words }) => (words.cpuMs * 1000) / words.Done),
    compared('bulk', 'MB/s', bulk),
    shareOf('bulk, share of haproxy’s', bulk, 0.5),
    compared('new connections', '/s', connected),
    shareOf('new connections, share of haproxy’s', connected, 0.25),
    compared('processor per connection', 'µs', ({ connections }) => (connections.cpuMs * 1000) / connections.Done),
    row(
      'balancer',
      'connections lost',
      samples['k3s-lite'].map(({ connections }) => connections.Failed),
      '',
      0,
    ),
    ...gapRows(gaps),
    row(`balancer, ${held.Done} connections held`, 'connections lost', [held.Failed], '', 0),
    row(`balancer, ${held.Done} connections held`, 'memory (RSS)', [held.rssMb], 'MB'),
  ];
}

function rowsOfGoing(held) {
  const { during } = held;
  const subject = `balancer, ${held.Done} held, servers come and go`;
  return [
    row(subject, `new connections (${freshPerSecond}/s asked for)`, [during.Done / during.Seconds], '/s'),
    row(subject, 'from when one was due to its answer, p99', [during.P99 / 1000], 'ms'),
    row(subject, 'changes of the list', [during.changes], ''),
    row(subject, 'new connections lost', [during.Failed], '', 0),
    row(subject, 'held connections lost', [held.Failed], '', 0),
  ];
}

const gapRows = ({ 'k3s-lite': ours, haproxy }) =>
  [
    ['after a killed server', 'killed', 50],
    ['after a black-holed server', 'blackHoled', 1500],
  ].flatMap(([when, key, goal]) =>
    ours[key] === undefined
      ? []
      : [row('balancer', `without an answer ${when}`, [ours[key]], 'ms', goal, { haproxy: haproxy[key] })],
  );
