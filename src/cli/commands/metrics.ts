/** `k3s-lite metrics`: what Prometheus would read. */
import { exitCode } from '../../error/codes.ts';
import type { CommandRun } from '../command.ts';
import { connect } from './connect.ts';

export const run: CommandRun = async (input) => {
  const { client } = await connect(input);
  input.io.out(await client.metrics());
  return exitCode.ok;
};
