/** `k3s-lite reload`: what changed in files and configuration becomes what runs, or nothing does. */
import type { ReloadReply } from '../../control/protocol.ts';
import { errorFromJson } from '../../error/from-json.ts';
import { renderError } from '../../error/render.ts';
import { exitCode } from '../../error/codes.ts';
import { describePlan, isEmptyPlan } from '../../event/reload-plan.ts';
import { formatDurationMs } from '../../kernel/duration.ts';
import type { CommandRun } from '../command.ts';
import { connect } from './connect.ts';

/** Exit code 4 when a changed unit did not become ready and was rolled back; a mistake in a file is thrown (3). */
export const run: CommandRun = async (input) => {
  const { io, options } = input;
  const json = options['json'] === true;
  const { client } = await connect(input);
  const plan = await client.reload({ dryRun: true });
  if (!json) for (const line of [...describePlan(plan.plan), ...plan.notes]) io.out(`${line}\n`);
  const isDry = options['dryRun'] === true;
  const reply = isDry ? plan : await client.reload({ dryRun: false });
  if (json) io.out(`${JSON.stringify(reply, undefined, 2)}\n`);
  else if (!isDry) tell(reply, input.io);
  return reply.rolledBack.length + reply.waiting.length === 0 ? exitCode.ok : exitCode.notReady;
};

function tell({ plan, elapsedMs, rolledBack, waiting }: ReloadReply, io: Parameters<CommandRun>[0]['io']): void {
  for (const { unit, error } of rolledBack) {
    io.err(`k3s-lite: ${unit} did not become ready and is back to its previous definition\n`);
    if (error !== undefined) io.err(`${renderError(errorFromJson(error), { width: io.columns, colour: io.colour })}\n`);
  }
  for (const unit of waiting) io.err(`k3s-lite: ${unit} still waits for others: \`k3s-lite why ${unit}\`\n`);
  if (rolledBack.length + waiting.length === 0 && !isEmptyPlan(plan))
    io.out(`reloaded (${formatDurationMs(elapsedMs)})\n`);
}
