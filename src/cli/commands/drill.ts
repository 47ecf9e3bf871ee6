/** `k3s-lite drill failover`: what happens when this server hangs, tried on purpose. */
import { createInterface } from 'node:readline/promises';
import { planDrill, runDrill, type DrillPlan } from '../../app/drill-failover.ts';
import { exitCode } from '../../error/codes.ts';
import { StartupError } from '../../error/startup-error.ts';
import { systemClock } from '../../kernel/clock.ts';
import { formatDurationMs, parseDurationMs } from '../../kernel/duration.ts';
import type { CommandInput, CommandRun } from '../command.ts';
import { connect } from './connect.ts';
import { drillText } from './drill-text.ts';

const shortestMs = 1_000;
/** A supervisor restarts a kube-apiserver that has not answered for longer (units/kube-apiserver.yaml, health). */
const longestMs = 30_000;

/** Exit code 5 when the client was without an answer for longer than the bound. */
export const run: CommandRun = async (input) => {
  const { args, options, io, env, signal } = input;
  const [what = ''] = args;
  if (what !== 'failover') {
    throw new StartupError('ERR_USAGE', `there is no \`k3s-lite drill ${what}\`; known is failover`, { what });
  }
  const forMs = durationOf(input, 'for', 10_000);
  const boundMs = durationOf(input, 'bound', 2_000);
  if (forMs < shortestMs || forMs > longestMs) {
    throw new StartupError('ERR_USAGE', '--for is from 1s to 30s: a server that hangs for longer is restarted', {});
  }
  const { client, paths } = await connect(input);
  const place = { paths, client, clock: systemClock, signal };
  const plan = await planDrill(place);
  requireThisOne(plan, options['server']);
  await confirm(input, plan, forMs);
  const beganMs = systemClock.monotonicMs();
  const report = await runDrill(plan, {
    ...place,
    forMs,
    boundMs,
    env,
    tell: (line) => io.err(`${((systemClock.monotonicMs() - beganMs) / 1000).toFixed(1)} s  ${line}\n`),
  });
  io.out(options['json'] === true ? `${JSON.stringify(report, undefined, 2)}\n` : `${drillText(report)}\n`);
  return report.violations.length === 0 ? exitCode.ok : exitCode.lostAfterReady;
};

function durationOf({ options }: CommandInput, name: 'for' | 'bound', otherwiseMs: number): number {
  const text = options[name];
  if (typeof text !== 'string') return otherwiseMs;
  const valueMs = parseDurationMs(text);
  if (valueMs !== undefined) return valueMs;
  throw new StartupError('ERR_USAGE', `--${name} is "${text}", but must be a duration like 10s`, { value: text });
}

function requireThisOne({ server }: DrillPlan, wanted: unknown): void {
  if (typeof wanted !== 'string' || wanted === server) return;
  throw new StartupError(
    'ERR_USAGE',
    `this machine is ${server}: run the drill on ${wanted} itself, because only there its processes can be frozen, and surely thawed`,
    { server },
  );
}

async function confirm({ options, io, signal }: CommandInput, plan: DrillPlan, forMs: number): Promise<void> {
  if (options['yes'] === true) return;
  const units = plan.units.map(({ unit }) => unit).join(', ');
  const intent = `For ${formatDurationMs(forMs)} ${units} of ${plan.server} will hang, as on a machine that is out of order. ${plan.others.join(' and ')} go on.`;
  if (!io.errIsTty || !process.stdin.isTTY) {
    throw new StartupError('ERR_USAGE', `${intent} Say so with --yes`, { units });
  }
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question(`${intent}\nGo on? [y/N] `, { signal });
    if (/^y(?:es)?$/i.test(answer.trim())) return;
  } finally {
    lines.close();
  }
  throw new StartupError('ERR_USAGE', 'nothing was done', {});
}
