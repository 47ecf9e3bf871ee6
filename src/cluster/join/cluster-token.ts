/**
 * The tokens of a cluster as its servers keep them: `server/token`, good for joining as anything,
 * and `server/node-token`, good for agents. Each is the long form, with the hash of the cluster's
 * authority, in a file that only its owner may read.
 *
 * The files are the truth. A `--token` counts when they are made and never again: a token that was
 * rotated, maybe because it got into wrong hands, must not come back by way of an old configuration.
 */
import { randomBytes } from 'node:crypto';
import { chmod, readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { StartupError } from '../../error/startup-error.ts';
import { parseJson } from '../../kernel/json.ts';
import type { Secret } from '../../kernel/secret.ts';
import type { Layout } from '../layout.ts';
import { readIfThere, writeIfChanged } from '../../kernel/stored-file.ts';
import { caHashOf, formatToken, parseToken, sameSecret, type Token, type TokenUser } from './token.ts';

type Files = Pick<Layout, 'serverTls' | 'serverToken' | 'nodeToken'>;
export type TokenFiles = Files & Pick<Layout, 'tokenRotation'>;

/** Passwords by user. */
export type TokenPasswords = Readonly<Record<TokenUser, string>>;

export interface GivenToken {
  /** `--token`, or its environment variable. */
  readonly token: Secret | undefined;
  readonly tokenFile: string | undefined;
}

/**
 * The token that a person gave, if any; read at each call, because a file may be written later.
 *
 * @throws StartupError ERR_TOKEN for one that cannot be read
 */
export async function readGivenToken(
  { token, tokenFile }: GivenToken,
  shortFormUser: TokenUser,
): Promise<Token | undefined> {
  if (token !== undefined) return parseToken(token.reveal(), shortFormUser);
  if (tokenFile === undefined) return undefined;
  const text = await readFile(tokenFile, 'utf8').catch((error: unknown) => {
    const { code = 'an error' } = error as NodeJS.ErrnoException;
    const message = `cannot read the token from ${tokenFile}: ${code}`;
    throw new StartupError('ERR_TOKEN', message, { file: tokenFile }, { cause: error });
  });
  return parseToken(text, shortFormUser);
}

/** Of a machine that joins: it is not started without one. @throws StartupError ERR_TOKEN for one that cannot be read */
export async function readRequiredToken(given: GivenToken, shortFormUser: TokenUser): Promise<Token> {
  const token = await readGivenToken(given, shortFormUser);
  if (token === undefined) throw new Error('internal error: a joining machine was started without a token');
  return token;
}

export interface EnsuredTokens {
  readonly isNew: boolean;
  /** The one that was given is not the one that counts. */
  readonly isGivenIgnored: boolean;
}

/**
 * Makes what is missing, and puts the authority's present hash into both.
 *
 * @throws StartupError ERR_TOKEN for a file or a given token that cannot be used
 */
export async function ensureTokens(files: Files, given: GivenToken): Promise<EnsuredTokens> {
  const caHash = await authorityHash(files);
  const asked = await readGivenToken(given, 'server');
  if (asked?.user === 'node') throw refused('the first server needs a server token, and this one is for nodes');
  const kept = await readPasswordIfThere(files.serverToken, 'server');
  if (kept === undefined && asked?.caHash !== undefined && asked.caHash !== caHash) {
    throw refused('it has the hash of another authority; give the password alone to a server that begins a cluster');
  }
  const server = kept ?? asked?.password ?? newPassword();
  // With a token of one's own choice there is one for everybody, as in K3s; else agents get less than servers.
  const node =
    (await readPasswordIfThere(files.nodeToken, 'node')) ??
    (kept === undefined && asked !== undefined ? server : newPassword());
  await writeTokens(files, caHash, { server, node });
  const isGivenIgnored = asked !== undefined && !sameSecret(asked.password, server);
  return { isNew: kept === undefined, isGivenIgnored };
}

/** New passwords for both. Who has joined stays; who joins from now on needs the new token. */
export async function rotateTokens(files: TokenFiles): Promise<void> {
  await readPasswords(files);
  const { number } = await tokenRotation(files);
  const rotation = { number: number + 1, id: randomBytes(8).toString('hex') };
  await takeRotation(files, { server: newPassword(), node: newPassword() }, rotation);
}

const rotationSchema = z.object({ number: z.number().int().min(0), id: z.string() });
export type TokenRotation = Readonly<z.infer<typeof rotationSchema>>;

/** The one that the tokens here are of; number 0 when they never were rotated, and for a damaged file. */
export async function tokenRotation({ tokenRotation: file }: Pick<Layout, 'tokenRotation'>): Promise<TokenRotation> {
  const parsed = rotationSchema.safeParse(parseJson((await readIfThere(file)) ?? ''));
  return parsed.success ? parsed.data : { number: 0, id: '' };
}

/** The tokens first: cut off between the two, it is done once more. */
export async function takeRotation(
  files: TokenFiles,
  passwords: TokenPasswords,
  { number, id }: TokenRotation,
): Promise<void> {
  await writeTokens(files, await authorityHash(files), passwords);
  await writeIfChanged(files.tokenRotation, `${JSON.stringify({ number, id })}\n`, 0o600);
}

/**
 * The whole token, as `--token` takes it.
 *
 * @throws StartupError ERR_TOKEN when there is none
 */
export async function readToken(files: Files, user: TokenUser): Promise<string> {
  const text = await readIfThere(fileOf(files, user));
  if (text === undefined) throw noToken(files);
  return text.trim();
}

/** @throws StartupError ERR_TOKEN when there is none, or one that cannot be read */
export async function readPasswords(files: Files): Promise<TokenPasswords> {
  const [server, node] = await Promise.all([
    readPasswordIfThere(files.serverToken, 'server'),
    readPasswordIfThere(files.nodeToken, 'node'),
  ]);
  if (server === undefined || node === undefined) throw noToken(files);
  return { server, node };
}

const fileOf = (files: Pick<Files, 'serverToken' | 'nodeToken'>, user: TokenUser): string =>
  user === 'server' ? files.serverToken : files.nodeToken;

const authorityHash = async ({ serverTls }: Files): Promise<string> =>
  caHashOf(await readFile(path.join(serverTls, 'server-ca.crt'), 'utf8'));

async function readPasswordIfThere(file: string, user: TokenUser): Promise<string | undefined> {
  const text = await readIfThere(file);
  if (text === undefined) return undefined;
  try {
    const token = parseToken(text, user);
    if (token.user === user) return token.password;
  } catch (error) {
    throw new StartupError('ERR_TOKEN', `cannot use the token in ${file}`, { file }, { cause: error });
  }
  throw new StartupError('ERR_TOKEN', `the token in ${file} is not for the user ${user}`, { file });
}

/** @param caHash - of the cluster's authority; see {@link caHashOf} */
export async function writeTokens(
  files: Pick<Files, 'serverToken' | 'nodeToken'>,
  caHash: string,
  passwords: TokenPasswords,
): Promise<void> {
  for (const user of ['server', 'node'] as const) {
    const file = fileOf(files, user);
    const isNew = await writeIfChanged(file, `${formatToken({ user, password: passwords[user], caHash })}\n`, 0o600);
    if (!isNew) await chmod(file, 0o600); // somebody may have opened it
  }
}

/** Source: K3s, 16 random bytes. */
const newPassword = (): string => randomBytes(16).toString('hex');

/** The password by which a node keeps its name; made at its first start. */
export async function ensureNodePassword(file: string): Promise<string> {
  const stored = (await readIfThere(file))?.trim();
  if (stored !== undefined && stored !== '') return stored;
  const password = newPassword();
  await writeIfChanged(file, `${password}\n`, 0o600);
  return password;
}

function noToken({ serverToken }: Files): StartupError {
  const message = `there is no token in ${path.dirname(serverToken)}: \`k3s-lite up --cluster-init\` makes one`;
  return new StartupError('ERR_TOKEN', message, { file: serverToken });
}

const refused = (why: string): StartupError =>
  new StartupError('ERR_TOKEN', `cannot use the given token: ${why}`, { why });
