/** `k3s-lite --version` against `node -e 0`: what a command costs before it does anything. */
import { spawnSync } from 'node:child_process';
import { cli, msBetween, now } from '../place.mjs';
import { interleave, median } from '../statistics.mjs';
import { row } from './small-graphs.mjs';

export async function version({ runs, say }) {
  const time = (args) => () => {
    const from = now();
    const { status } = spawnSync(process.execPath, args, { stdio: 'ignore' });
    if (status !== 0) throw new Error(`node ${args.join(' ')} exited with ${status}`);
    return Promise.resolve(msBetween(from, now()));
  };
  say('--version');
  const rounds = Math.max(15, runs * 3);
  const { ours, node } = await interleave({ ours: time([cli, '--version']), node: time(['-e', '0']) }, rounds);
  const others = { 'node -e 0': median(node) };
  return [
    row('k3s-lite --version', 'wall time', ours, 'ms', undefined, others),
    row(
      'k3s-lite --version',
      'ratio to node -e 0',
      ours.map((each) => each / median(node)),
      '×',
      2,
    ),
  ];
}
