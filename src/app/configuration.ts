/**
 * What the user asked for: command line over environment over configuration files. Every mistake
 * is reported with its place and the nearest known name.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import { StartupError } from '../error/startup-error.ts';
import { nearestName } from '../kernel/nearest.ts';
import { camelCase, upFlags, type Flag } from './flags.ts';
import { pathsOf, type Paths } from './paths.ts';

/** Values by the flag's name: a string, a list of strings, or true for a switch. */
export type FlagValues = Readonly<Record<string, string | readonly string[] | boolean | undefined>>;

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
export function readConfiguration({ options, env, cwd, uid }: ConfigurationInput): Configuration {
  const fromLine = pickKnown(options);
  const fromEnv = readEnv(env);
  const dataDir = fromLine['data-dir'] ?? fromEnv['data-dir'];
  const place = pathsOf({ dataDir: typeof dataDir === 'string' ? path.resolve(cwd, dataDir) : undefined, env, uid });
  const named = fromLine['config'] ?? fromEnv['config'];
  const file = typeof named === 'string' ? path.resolve(cwd, named) : path.join(place.configDir, 'config.yaml');
  if (typeof named === 'string' && !existsSync(file)) {
    throw new StartupError('ERR_CONFIG', `cannot read the configuration: there is no ${file}`, { file });
  }
  const values = { ...readFiles(file), ...fromEnv, ...fromLine };
  const finalDir = values['data-dir'];
  const paths = pathsOf({ dataDir: typeof finalDir === 'string' ? path.resolve(cwd, finalDir) : undefined, env, uid });
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
  const known = new Map(upFlags.map((flag) => [`${prefix}${flag.name.toUpperCase().replaceAll('-', '_')}`, flag]));
  const values: Record<string, string | readonly string[] | boolean> = {};
  for (const flag of upFlags) {
    for (const name of flag.env ?? [])
      if (env[name] !== undefined) values[flag.name] = valueOf(flag, env[name], `$${name}`);
  }
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith(prefix) || text === undefined || reservedEnv.has(name)) continue;
    const flag = known.get(name);
    if (flag === undefined) throw unknownName(`environment variable ${name}`, name, known.keys());
    values[flag.name] = valueOf(flag, text, `$${name}`);
  }
  return values;
}

/** Set by k3s-lite itself for its children, or read by its tests and set-up. */
const reservedEnv = new Set(['K3S_LITE_RUN', 'K3S_LITE_CACHE']);

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

/** config.yaml, then config.yaml.d/*.yaml in lexical order; a later file replaces a key. Source: K3s, the same order. */
function readFiles(file: string): FlagValues {
  const folder = `${file}.d`;
  const dropIns = existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => /\.ya?ml$/.test(name))
        .sort()
        .map((name) => path.join(folder, name))
    : [];
  const files = [...(existsSync(file) ? [file] : []), ...dropIns];
  return Object.assign({}, ...files.map(readFile)) as FlagValues;
}

function readFile(file: string): FlagValues {
  const lines = new LineCounter();
  const document = parseDocument(readFileSync(file, 'utf8'), { lineCounter: lines });
  const at = (offset: number | undefined) => {
    const { line, col } = lines.linePos(offset ?? 0);
    return `${file}:${String(line)}:${String(col)}`;
  };
  const [broken] = document.errors;
  if (broken !== undefined)
    throw new StartupError('ERR_CONFIG', `${at(broken.pos[0])}: ${broken.message.split('\n')[0] ?? ''}`, { file });
  if (document.contents === null) return {};
  if (!isMap(document.contents))
    throw new StartupError('ERR_CONFIG', `${at(0)}: expected keys and values, one flag a line`, { file });
  const known = new Map(upFlags.map((flag) => [flag.name, flag]));
  const values: Record<string, string | readonly string[] | boolean> = {};
  const plainMap = document.toJS() as Record<string, unknown>;
  for (const { key } of document.contents.items as { key: unknown }[]) {
    const name = isScalar(key) ? String(key.value) : '';
    const place = at(isScalar(key) ? key.range?.[0] : undefined);
    const flag = known.get(name);
    if (flag === undefined) throw unknownName(`${place}: key "${name}"`, name, known.keys());
    const plain = plainMap[name];
    values[name] = plainValue(flag, plain, place);
  }
  return values;
}

function plainValue(flag: Flag, plain: unknown, place: string): string | readonly string[] | boolean {
  const isPlain = (item: unknown): item is string | number => typeof item === 'string' || typeof item === 'number';
  if (flag.list === true && Array.isArray(plain) && plain.every(isPlain)) return plain.map(String);
  if (flag.list === true && isPlain(plain)) return [String(plain)];
  if (flag.list !== true && flag.value !== undefined && isPlain(plain)) return String(plain);
  if (flag.value === undefined && typeof plain === 'boolean') return plain;
  const expected =
    flag.list === true ? 'a list of texts' : flag.value === undefined ? 'true or false' : 'a text or number';
  throw new StartupError('ERR_CONFIG', `${place}: ${flag.name} must be ${expected}`, { place });
}

function unknownName(what: string, name: string, known: Iterable<string>): StartupError {
  const nearest = nearestName(name, known);
  const remedy = nearest === undefined ? '' : `; did you mean "${nearest}"?`;
  return new StartupError('ERR_CONFIG', `${what} is not known${remedy}`, { name, nearest });
}
