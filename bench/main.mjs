/**
 * `npm run bench`: measures k3s-lite from outside, against others in the same run where there are
 * others, and prints a table.
 *
 *   npm run bench -- [--only row,row] [--runs 7] [--quick] [--json file] [--markdown file] [--bin-dir dir]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { inOwnRun } from './own-run.mjs';
import { lookAtPace } from './pace.mjs';
import { machine, Skip } from './place.mjs';
import { describeMachine, markdown, table } from './report.mjs';
import { adoption } from './rows/adoption.mjs';
import { balancer } from './rows/balancer.mjs';
import { clusterOverhead } from './rows/cluster-overhead.mjs';
import { clusterStart } from './rows/cluster-start.mjs';
import { idle } from './rows/idle.mjs';
import { planner } from './rows/planner.mjs';
import { probeLatency } from './rows/probe-latency.mjs';
import { restarts } from './rows/restarts.mjs';
import { smallGraphs, syntheticOverhead } from './rows/small-graphs.mjs';
import { version } from './rows/version.mjs';
import { vip } from './rows/vip.mjs';
import { median } from './statistics.mjs';

const all = {
  version,
  graphs: smallGraphs,
  probes: probeLatency,
  restarts,
  adoption,
  'graph-overhead': syntheticOverhead,
  start: clusterStart,
  overhead: clusterOverhead,
  idle,
  balancer,
  planner,
  vip,
};

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    runs: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
    markdown: { type: 'string' },
    'bin-dir': { type: 'string' },
  },
});
const wanted = values.only?.split(',') ?? Object.keys(all);
const unknown = wanted.filter((name) => !Object.hasOwn(all, name));
const runs = Number(values.runs ?? (values.quick ? 2 : 7));
if (unknown.length > 0 || !(runs >= 1)) {
  console.error(`usage: --only ${Object.keys(all).join(',')} --runs N (got ${unknown.join(', ') || values.runs})`);
  process.exit(2);
}

const elsewhere = await inOwnRun();
if (elsewhere !== undefined) process.exit(elsewhere);

const say = (text) => process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
const report = { machine: machine(), runs, isQuick: values.quick, rows: [], skipped: {} };
// Leaving through exit() takes everything back: see atEnd.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));
let exitCode = 0;
for (const name of wanted) {
  try {
    const before = await lookAtPace();
    const rows = await all[name]({ runs, quick: values.quick, binDir: values['bin-dir'], say });
    const paceMs = median([...before, ...(await lookAtPace())]);
    report.rows.push(...rows.map((row) => ({ row: name, paceMs, ...row })));
  } catch (error) {
    report.skipped[name] = error.message;
    if (!(error instanceof Skip)) {
      console.error(error);
      exitCode = 1;
    }
  }
}
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');

console.log(describeMachine(report.machine, report.rows));
if (report.rows.length > 0) console.log(`\n${table(report.rows)}`);
for (const [name, reason] of Object.entries(report.skipped)) console.log(`\nnot measured: ${name}: ${reason}`);
if (values.json !== undefined) write(values.json, `${JSON.stringify(report, null, 2)}\n`);
if (values.markdown !== undefined) {
  write(values.markdown, `${describeMachine(report.machine, report.rows)}\n\n${markdown(report.rows)}\n`);
}
process.exit(exitCode);

function write(file, text) {
  mkdirSync(path.dirname(path.resolve(file)), { recursive: true });
  writeFileSync(file, text);
}
