/** `k3s-lite logs UNIT`: a unit's output, from the running k3s-lite, or from its file when nothing runs. */
import { lastLogLines, requireLog } from '../../app/read-log.ts';
import { isNotRunning } from '../../control/client.ts';
import { defaultLogLines, maxLogLines } from '../../control/protocol.ts';
import { exitCode } from '../../error/codes.ts';
import { StartupError } from '../../error/startup-error.ts';
import type { CommandRun } from '../command.ts';
import { connect } from './connect.ts';

export const run: CommandRun = async (input) => {
  const { io, options, args } = input;
  const [unit = ''] = args;
  const follow = options['follow'] === true;
  const lines = linesOf(options['lines']);
  const { client, paths } = await connect(input);
  try {
    for await (const line of await client.logs(unit, { lines, follow })) io.out(`${line}\n`);
  } catch (error) {
    if (!isNotRunning(error)) throw error;
    requireLog(paths.logDir, unit);
    for (const line of lastLogLines(paths.logDir, unit, lines)) io.out(`${line}\n`);
    if (follow) io.err(`k3s-lite: nothing runs for ${paths.dataDir}, so there is nothing to follow\n`);
  }
  return exitCode.ok;
};

function linesOf(given: unknown): number {
  if (given === undefined) return defaultLogLines;
  const count = typeof given === 'string' && /^\d{1,9}$/.test(given) ? Number(given) : Number.NaN;
  if (count <= maxLogLines) return count;
  throw new StartupError(
    'ERR_USAGE',
    `--lines is "${typeof given === 'string' ? given : typeof given}", but must be 0 to ${String(maxLogLines)}`,
    {
      option: '--lines',
    },
  );
}
