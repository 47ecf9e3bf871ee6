/** `k3s-lite events`: the stream of everything that happens, from any event on that is still kept. */
import { exitCode } from '../../error/codes.ts';
import { StartupError } from '../../error/startup-error.ts';
import type { CommandRun } from '../command.ts';
import { connect } from './connect.ts';
import { eventText } from './event-text.ts';

export const run: CommandRun = async (input) => {
  const { io, options } = input;
  const since = sinceOf(options['since']);
  const { client } = await connect(input);
  const follow = options['follow'] === true;
  for await (const line of await client.events({ follow, ...(since === undefined ? {} : { since }) })) {
    io.out(`${options['json'] === true ? JSON.stringify(line) : eventText(line)}\n`);
  }
  return exitCode.ok;
};

function sinceOf(given: unknown): number | undefined {
  if (given === undefined) return undefined;
  if (typeof given === 'string' && /^\d{1,15}$/.test(given)) return Number(given);
  const text = typeof given === 'string' ? given : typeof given;
  throw new StartupError('ERR_USAGE', `--since is "${text}", but must be the seq of an event: a whole number`, {
    option: '--since',
  });
}
