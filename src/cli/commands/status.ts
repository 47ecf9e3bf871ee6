/** `k3s-lite status`: every unit in one table. */
import { exitCode } from '../../error/codes.ts';
import type { CommandRun } from '../command.ts';
import { connect } from './connect.ts';
import { renderStatus } from './status-table.ts';

/** Exit code 0 when everything is ready, 4 when something is not: it serves as a health check too. */
export const run: CommandRun = async (input) => {
  const { io, options } = input;
  const { client } = await connect(input);
  const status = await client.status({ usage: options['wide'] === true });
  if (options['json'] === true) io.out(`${JSON.stringify(status, undefined, 2)}\n`);
  else io.out(`${renderStatus(status, { colour: io.colour, ...(io.outIsTty ? { width: io.columns } : {}) })}\n`);
  return status.ready ? exitCode.ok : exitCode.notReady;
};
