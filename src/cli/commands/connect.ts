/** The running k3s-lite that a command speaks to: found by its data directory. */
import { readConfiguration } from '../../app/configuration.ts';
import type { Paths } from '../../app/paths.ts';
import { controlClient, type ControlClient } from '../../control/client.ts';
import type { CommandInput } from '../command.ts';

export interface Connection {
  readonly client: ControlClient;
  readonly paths: Paths;
}

export function connect(input: CommandInput): Connection {
  const paths = placeOf(input);
  const { controlSocket: socketPath, dataDir } = paths;
  return { client: controlClient({ socketPath, dataDir, signal: input.signal }), paths };
}

export function placeOf({ options, env, cwd }: CommandInput): Paths {
  return readConfiguration({ options, env, cwd, uid: process.getuid?.() ?? 0 }).paths;
}
