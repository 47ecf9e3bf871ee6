/** `k3s-lite why UNIT`: the tree of reasons behind a unit's state. */
import { exitCode } from '../../error/codes.ts';
import type { CommandRun } from '../command.ts';
import { connect } from './connect.ts';
import { renderWhy } from './why-tree.ts';

export const run: CommandRun = async (input) => {
  const { io, options, args } = input;
  const { client } = await connect(input);
  const why = await client.why(args[0] ?? '');
  if (options['json'] === true) io.out(`${JSON.stringify(why, undefined, 2)}\n`);
  else io.out(`${renderWhy(why, { colour: io.colour, ...(io.outIsTty ? { width: io.columns } : {}) })}\n`);
  return exitCode.ok;
};
