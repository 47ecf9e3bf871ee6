/** What one command line asks for, with environment and configuration files. */
import { readConfiguration, type Configuration } from '../app/configuration.ts';
import type { CommandInput } from './command.ts';

/** @throws StartupError ERR_CONFIG */
export function configurationOf({ options, env, cwd }: CommandInput): Promise<Configuration> {
  return readConfiguration({ options, env, cwd, uid: process.getuid?.() ?? 0 });
}
