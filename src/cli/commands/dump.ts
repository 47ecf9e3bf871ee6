/** `k3s-lite dump`: the same file as SIGUSR2 writes. */
import { exitCode } from '../../error/codes.ts';
import type { CommandRun } from '../command.ts';
import { connect } from './connect.ts';

export const run: CommandRun = async (input) => {
  const { io, options } = input;
  const { client } = await connect(input);
  const reply = await client.dump();
  io.out(options['json'] === true ? `${JSON.stringify(reply)}\n` : `${reply.file}\n`);
  return exitCode.ok;
};
