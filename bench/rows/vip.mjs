/**
 * Virtual IPs on real packets, beside keepalived in the same rig: nodes are namespaces on a bridge, a
 * client sends every 2 ms. Of ours it is the kernel's side: how long a lease runs is a setting.
 */
import { once } from 'node:events';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { hasPackages } from '../../scripts/setup/debian.mjs';
import { keepalived } from '../keepalived.mjs';
import { msBetween, now, root, Skip, withFolder } from '../place.mjs';
import { row } from './small-graphs.mjs';

const address = '10.98.0.50';
/** Source: issue 6 and the figures to beat of its reference. */
const goals = { planned: 50, lost: 0, thousand: 150 };
const rigFolder = path.join(root, 'test/cluster/vip-rig');
const leaseMs = 60_000;
const settledMs = 2500;

export async function vip({ runs, quick, say }) {
  if (process.getuid() !== 0) throw new Skip('root is needed: network namespaces');
  const hasKeepalived = await hasPackages(['keepalived'], 'the benchmark of virtual IPs');
  const rounds = quick ? 1 : Math.min(runs, 3);
  return withFolder(async (folder) => {
    const vipRig = await loadRig();
    const rig = await vipRig(['n1', 'n2']);
    try {
      say('virtual IPs: ours');
      const ours = await measureOurs(rig, rounds);
      say('virtual IPs: keepalived');
      const theirs = hasKeepalived ? await measureKeepalived(rig, folder, rounds) : undefined;
      return rowsOf(ours, theirs);
    } finally {
      await rig[Symbol.asyncDispose]();
    }
  });
}

/** Beside the rig's own bundle, so that node_modules are found from it. */
async function loadRig() {
  const outfile = path.join(root, '.cache/bench/vip-rig.mjs');
  await build({
    entryPoints: [path.join(rigFolder, 'vip-rig.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    define: { 'import.meta.dirname': JSON.stringify(rigFolder) },
    logLevel: 'error',
  });
  return (await import(pathToFileURL(outfile).href)).vipRig;
}

const soon = () => Number(now()) / 1e6 + leaseMs;
const timed = async (work) => {
  const from = now();
  await work();
  return msBetween(from, now());
};

async function measureOurs(rig, rounds) {
  const results = { planned: [], lost: [], takeover: [], thousand: [], arm: [], silence: [] };
  for (let round = 0; round < rounds; round += 1) {
    const nodes = await Promise.all(['n1', 'n2'].map((name) => rig.startNode(name)));
    const [from, to] = nodes.map(({ calls }) => calls);
    await Promise.all([from.cleanUp(), to.cleanUp()]);
    await from.take([address], soon());
    await answeredBy(rig, 'n1');
    await from.silence([address]);
    await to.take([address], soon());
    await answeredBy(rig, 'n2');
    await from.drop([address]);
    const { longestGapMs, lost } = await rig.client.calls.finish();
    results.planned.push(longestGapMs);
    results.lost.push(lost);

    // The holder is gone without a word, and its lease with it.
    rig.place('n2').cable('down');
    results.takeover.push(
      await timed(async () => {
        await from.take([address], soon());
        await answeredBy(rig, 'n1');
      }),
    );
    await rig.client.calls.finish();
    rig.place('n2').cable('up');
    await Promise.all([from.end(), to.end()]);
    await Promise.all(nodes.map((node) => node.kill()));
    await thousand(rig, results);
  }
  return results;
}

async function thousand(rig, results) {
  const node = await rig.startNode('n1', { probe: { count: 0, intervalMs: 0 } });
  const many = Array.from({ length: 1000 }, (_, at) => `10.98.${100 + (at >> 8)}.${at & 255}`);
  await node.calls.cleanUp();
  results.thousand.push(await timed(() => node.calls.take(many, soon())));
  results.arm.push(await timed(() => node.calls.arm(soon())));
  results.silence.push(await timed(() => node.calls.silence(many)));
  await node.calls.end();
  await node.kill();
}

async function measureKeepalived(rig, folder, rounds) {
  const results = { death: [], planned: [] };
  for (let round = 0; round < rounds; round += 1) {
    // For their answers alone.
    const nodes = await Promise.all(['n1', 'n2'].map((name) => rig.startNode(name)));
    for (const [what, strike] of [
      ['death', () => rig.place('n1').cable('down')],
      ['planned', (first) => first.kill('SIGTERM')],
    ]) {
      const first = keepalived(rig.place('n1'), { folder, address, priority: 150 });
      const second = keepalived(rig.place('n2'), { folder, address, priority: 100 });
      await answeredBy(rig, 'n1');
      // The other one has to have heard a few of its advertisements.
      await new Promise((resolve) => setTimeout(resolve, settledMs));
      strike(first);
      await answeredBy(rig, 'n2', false);
      results[what].push((await rig.client.calls.finish()).longestGapMs);
      for (const one of [first, second]) {
        const ended = one.exitCode === null && one.signalCode === null ? once(one, 'exit') : undefined;
        one.kill('SIGTERM');
        await ended;
      }
      rig.place('n1').cable('up');
    }
    await Promise.all(nodes.map((node) => node.kill()));
  }
  return results;
}

/** The client is answered by that node; it begins to send when it does not yet. */
async function answeredBy(rig, name, begins = true) {
  const { calls } = rig.client;
  if (begins && (await calls.answered()) === 0) await calls.begin(address);
  const untilMs = Number(now()) / 1e6 + 15_000;
  while ((await calls.lastFrom()) !== name) {
    if (Number(now()) / 1e6 > untilMs) throw new Error(`${name} does not answer for ${address}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

function rowsOf(ours, theirs) {
  const median = (values) => row('', '', values, '').median;
  const beside = (values) => (theirs === undefined ? {} : { keepalived: median(values()) });
  return [
    row(
      'virtual IP',
      'planned move, longest gap',
      ours.planned,
      'ms',
      goals.planned,
      beside(() => theirs.planned),
    ),
    row('virtual IP', 'planned move, packets lost', ours.lost, '', goals.lost),
    row('virtual IP', 'a lost node, beyond the lease', ours.takeover, 'ms'),
    ...(theirs === undefined ? [] : [row('keepalived', 'a lost node, longest gap', theirs.death, 'ms')]),
    row('virtual IP', '1000 addresses taken', ours.thousand, 'ms', goals.thousand),
    row('virtual IP', '1000 addresses, switch armed', ours.arm, 'ms'),
    row('virtual IP', '1000 addresses silenced', ours.silence, 'ms'),
  ];
}
