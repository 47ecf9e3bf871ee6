/** `k3s-lite token show|rotate`. */
import { rotateClusterTokens, showToken } from '../../app/cluster-tokens.ts';
import { exitCode } from '../../error/codes.ts';
import { StartupError } from '../../error/startup-error.ts';
import type { CommandRun } from '../command.ts';
import { configurationOf } from '../configuration-of.ts';

export const run: CommandRun = async (input) => {
  const { args, options, io } = input;
  const [what = ''] = args;
  const { paths } = await configurationOf(input);
  switch (what) {
    case 'show':
      io.out(`${await showToken(paths, options['node'] === true ? 'node' : 'server')}\n`);
      return exitCode.ok;
    case 'rotate':
      await rotateClusterTokens(paths);
      io.out(
        'the tokens are new, here at once and at the other servers in a moment; who has joined stays, who joins from now on needs `k3s-lite token show`\n',
      );
      return exitCode.ok;
    default:
      throw new StartupError('ERR_USAGE', `there is no \`k3s-lite token ${what}\`; known are show and rotate`, {
        what,
      });
  }
};
