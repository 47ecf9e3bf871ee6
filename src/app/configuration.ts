/**
 * What the user asked for: command line over environment over configuration files. Every mistake
 * is reported with its place and the nearest known name.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { StartupError } from '../error/startup-error.ts';
import { readConfigurationFiles } from './configuration-files.ts';
import { unknownFlag, type FlagValues } from './flag-values.ts';
import { camelCase, environmentName, upFlags, type Flag } from './flags.ts';
import { pathsOf, type Paths } from './paths.ts';

export interface Configuration {
  readonly paths: Paths;
  readonly values: FlagValues;
  /** Folders with drop-ins (`<dir>/<unit>/*.yaml`) beside those of the unit folders. */
  readonly dropInDirs: readonly string[];
}

export interface ConfigurationInput {
  /** By camel-case name, as the command line gives them. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly uid: number;
}

/** @throws StartupError ERR_CONFIG that lists every mistake with its place */
export async function readConfiguration({ options, env, cwd, uid }: ConfigurationInput): Promise<Configuration> {
  const fromLine = pickKnown(options);
  const fromEnv = readEnv(env);
  const placeOf = ({ 'data-dir': dataDir }: FlagValues) => {
    if (typeof dataDir !== 'string') return pathsOf({ dataDir: undefined, env, uid });
    // Taken from the working folder it would be that folder: a variable of a script was not set.
    if (dataDir === '') throw new StartupError('ERR_CONFIG', 'data-dir is empty: give a folder, or leave it out', {});
    return pathsOf({ dataDir: path.resolve(cwd, dataDir), env, uid });
  };
  const place = placeOf({ ...fromEnv, ...fromLine });
  const named = fromLine['config'] ?? fromEnv['config'];
  const file = typeof named === 'string' ? path.resolve(cwd, named) : path.join(place.configDir, 'config.yaml');
  if (typeof named === 'string' && !existsSync(file)) {
    throw new StartupError('ERR_CONFIG', `cannot read the configuration: there is no ${file}`, { file });
  }
  const values = { ...(await readConfigurationFiles(file)), ...fromEnv, ...fromLine };
  const paths = placeOf(values);
  return { paths, values, dropInDirs: [path.join(paths.configDir, 'units.d')] };
}

function pickKnown(options: Readonly<Record<string, unknown>>): FlagValues {
  return Object.fromEntries(
    upFlags.flatMap((flag) => {
      const value = options[camelCase(flag.name)];
      return value === undefined ? [] : [[flag.name, value as string | string[] | boolean]];
    }),
  );
}

function readEnv(env: Readonly<Record<string, string | undefined>>): FlagValues {
  const prefix = 'K3S_LITE_';
  const known = new Map(upFlags.map((flag) => [environmentName(flag.name), flag]));
  const values: Record<string, string | readonly string[] | boolean> = {};
  for (const flag of upFlags) {
    for (const name of flag.env ?? [])
      if (env[name] !== undefined) values[flag.name] = valueOf(flag, env[name], `$${name}`);
  }
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith(prefix) || text === undefined || reservedEnv.has(name)) continue;
    const flag = known.get(name);
    if (flag === undefined) throw unknownFlag(`environment variable ${name}`, name, known.keys());
    values[flag.name] = valueOf(flag, text, `$${name}`);
  }
  return values;
}

/** Set by k3s-lite and k3s-lite-init for their children, or read by its tests and set-up. */
const reservedEnv = new Set(['K3S_LITE_RUN', 'K3S_LITE_UNDER_INIT', 'K3S_LITE_CACHE']);

function valueOf(flag: Flag, text: string, place: string): string | readonly string[] | boolean {
  if (flag.list === true)
    return text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
  if (flag.value !== undefined) return text;
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0' || text === '') return false;
  throw new StartupError('ERR_CONFIG', `${place} is "${text}", but must be true or false`, { place });
}
