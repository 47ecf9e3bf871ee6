/** The running k3s-lite that a command speaks to: found by its data directory. */
import type { Paths } from '../../app/paths.ts';
import { controlClient, type ControlClient } from '../../control/client.ts';
import type { CommandInput } from '../command.ts';
import { configurationOf } from '../configuration-of.ts';

export interface Connection {
  readonly client: ControlClient;
  readonly paths: Paths;
}

export async function connect(input: CommandInput): Promise<Connection> {
  const paths = await placeOf(input);
  return { client: clientOf(paths, input.signal), paths };
}

export function clientOf({ controlSocket: socketPath, dataDir }: Paths, signal: AbortSignal): ControlClient {
  return controlClient({ socketPath, dataDir, signal });
}

export async function placeOf(input: CommandInput): Promise<Paths> {
  return (await configurationOf(input)).paths;
}
