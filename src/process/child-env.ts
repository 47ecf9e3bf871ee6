/**
 * The environment of a unit: a minimal one, so that what the user's shell happens to export does
 * not change a cluster, then what the unit file says, later sources winning.
 *
 * Values of secrets are read here at each start and go nowhere but into the child.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Unit } from '../unit/schema.ts';
import type { Account } from './account.ts';
import { errnoOf, spawnFailure } from './spawn-error.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** What a program may need to find its files, speak the user's language and reach the network. */
const inherited = new Set([
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'LANG',
  'LANGUAGE',
  'TZ',
  'TMPDIR',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'ALL_PROXY',
  'NO_PROXY',
  'http_proxy',
  'https_proxy',
  'all_proxy',
  'no_proxy',
]);

export interface ChildEnvInput {
  readonly unit: Pick<Unit, 'env' | 'envFile' | 'secrets'>;
  readonly baseEnv: Env;
  readonly extraEnv: Env;
  readonly account: Account | undefined;
  /** Relative file names are taken from here. */
  readonly cwd: string;
  /** Name and value of the marker, which goes first: so it is found first in a long environment. */
  readonly marker: readonly [string, string];
}

/** @throws an Error with the errno name as code when `envFile` or a secret cannot be read */
export function childEnv({ unit, baseEnv, extraEnv, account, cwd, marker }: ChildEnvInput): Record<string, string> {
  const env: Record<string, string> = { [marker[0]]: marker[1] };
  for (const [name, value] of Object.entries(baseEnv)) {
    if (value !== undefined && (inherited.has(name) || name.startsWith('LC_'))) env[name] = value;
  }
  if (account?.home !== undefined) env['HOME'] = account.home;
  if (account?.name !== undefined) Object.assign(env, { USER: account.name, LOGNAME: account.name });
  if (unit.envFile !== undefined) Object.assign(env, readEnvFile(path.resolve(cwd, unit.envFile)));
  for (const [name, file] of Object.entries(unit.secrets)) env[name] = readSecret(name, path.resolve(cwd, file));
  Object.assign(env, unit.env);
  for (const [name, value] of Object.entries(extraEnv)) if (value !== undefined) env[name] = value;
  env[marker[0]] = marker[1];
  return env;
}

/** Lines of NAME=value; blank lines and `#` comments are skipped, one pair of quotes around a value is taken off. */
function readEnvFile(file: string): Record<string, string> {
  const env: Record<string, string> = {};
  const lines = readText(file, 'envFile').split('\n');
  for (const [index, raw] of lines.entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const match = /^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line);
    const [, name, value = ''] = match ?? [];
    // The line itself may hold a secret: only its number is told.
    if (name === undefined) throw spawnFailure('EINVAL', `${file}:${String(index + 1)}: not a NAME=value line`);
    env[name] = /^(["'])(.*)\1$/.exec(value)?.[2] ?? value;
  }
  return env;
}

function readSecret(name: string, file: string): string {
  const value = readText(file, `secret ${name}`).replace(/\r?\n$/, '');
  if (value.includes('\0')) throw spawnFailure('EINVAL', `secret ${name}: ${file} holds a NUL byte`);
  return value;
}

function readText(file: string, what: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = errnoOf(error) ?? 'EUNKNOWN';
    throw spawnFailure(code, `${what}: cannot read ${file}: ${code}`, error);
  }
}
