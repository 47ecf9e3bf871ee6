/** The supervisor's own processes beside a running node: memory, processor time and wake-ups at rest. */
import { withFolder } from '../place.mjs';
import { requireWorld } from '../world.mjs';
import { prepareStage, startOurs } from './cluster-start.mjs';
import { row } from './small-graphs.mjs';

export async function idle({ runs, quick, say, binDir }) {
  requireWorld();
  return withFolder(async (folder) => {
    const stage = await prepareStage(folder, binDir);
    const samples = [];
    const count = quick ? 1 : Math.min(runs, 3);
    for (let round = 0; round < count; round++) {
      say(`at rest beside a node, run ${round + 1}`);
      // V8 collects the garbage of the start in the first 15 s after it: work of the start, not of the rest.
      const result = await startOurs(stage, {
        SettleMs: quick ? 2000 : 20_000,
        IdleMs: quick ? 5000 : 30_000,
        Stop: true,
      });
      samples.push(result.Usage);
    }
    const of = (key) => samples.map((usage) => usage[key]);
    return [
      row('real node, at rest', 'memory (RSS)', of('RssMb'), 'MB', 80),
      row('real node, at rest', 'memory (PSS)', of('PssMb'), 'MB'),
      row('real node, at rest', 'peak memory', of('PeakMb'), 'MB'),
      row('real node, at rest', 'processor', of('CpuPercent'), '% of a core', 0.3),
      row('real node, at rest', 'wake-ups', of('WakeUpsPerSecond'), '/s'),
      row('real node, at rest', 'processes', of('Processes'), ''),
    ];
  });
}
