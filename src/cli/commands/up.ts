/** `k3s-lite up [UNIT…]`. */
import { readConfiguration } from '../../app/configuration.ts';
import { up } from '../../app/up.ts';
import type { CommandRun } from '../command.ts';

export const run: CommandRun = async ({ args, options, io, env, cwd }) => {
  const configuration = readConfiguration({ options, env, cwd, uid: process.getuid?.() ?? 0 });
  return up({ configuration, units: args, env, cwd, io });
};
