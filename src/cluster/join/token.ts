/**
 * The token that lets a machine join: K3s's format, `K10<CA hash>::<user>:<password>`, and the short
 * form that is the password alone. Pure: reading, writing, comparing, and the hash that ties a token
 * to one cluster's authority.
 *
 * The hash is what lets a joining machine believe a server that it has never seen. A token without
 * it trusts whoever answers first, so whoever uses one is warned.
 *
 * A token is a secret: nothing here puts one, or a part of one, into a message.
 */
import { createHash, timingSafeEqual, X509Certificate } from 'node:crypto';
import { StartupError } from '../../error/startup-error.ts';

/** What the holder of a token may become. Source: K3s, the user names of server and agent tokens. */
export type TokenUser = 'server' | 'node';

export interface Token {
  readonly user: TokenUser;
  readonly password: string;
  /** SHA-256 of the authority, 64 lower-case hexadecimal digits; undefined in the short form. */
  readonly caHash: string | undefined;
}

/** Source: K3s `clientaccess`, the version mark of the long form. */
const mark = 'K10';
const hashPattern = /^[0-9a-f]{64}$/;
/** What travels in an HTTP header and in a shell variable without quoting, and is no separator. */
const passwordPattern = /^[\x21-\x39\x3b-\x7e]+$/;
/** Long enough for anything sensible, short enough that hashing it is nobody's work. */
const longestPassword = 1024;

/**
 * Reads a token as a person gives it.
 *
 * @param text - either form; white space around it (a file's last newline) is no part of it
 * @param shortFormUser - whose password the short form is: `server` for a server, `node` for an agent
 * @throws StartupError ERR_TOKEN that says which part is wrong, never what it says
 */
export function parseToken(text: string, shortFormUser: TokenUser): Token {
  const given = text.trim();
  if (given === '') throw tokenError('it is empty');
  if (!given.startsWith(mark) || !given.includes('::')) {
    if (given.includes('::')) throw tokenError(`it has "::" but does not begin with ${mark}`);
    return { ...credentials(given, shortFormUser), caHash: undefined };
  }
  const [hash = '', ...rest] = given.slice(mark.length).split('::');
  if (!hashPattern.test(hash)) {
    throw tokenError(
      `the part between ${mark} and "::" must be 64 lower-case hexadecimal digits, and has ${hash.length === 64 ? 'others' : `${String(hash.length)} characters`}`,
    );
  }
  if (rest.length !== 1) throw tokenError('it has "::" more than once');
  const [secret = ''] = rest;
  if (!secret.includes(':')) throw tokenError('after "::" there must be a user and a password, as in server:PASSWORD');
  return { ...credentials(secret, shortFormUser), caHash: hash };
}

function credentials(text: string, shortFormUser: TokenUser): Pick<Token, 'user' | 'password'> {
  const colon = text.indexOf(':');
  const user = colon === -1 ? shortFormUser : text.slice(0, colon);
  const password = colon === -1 ? text : text.slice(colon + 1);
  if (user !== 'server' && user !== 'node') throw tokenError('its user must be "server" or "node"');
  if (password === '') throw tokenError('its password is empty');
  if (password.length > longestPassword)
    throw tokenError(`its password is longer than ${String(longestPassword)} characters`);
  if (!passwordPattern.test(password)) {
    throw tokenError('its password has a colon, a space or a character outside ASCII; take letters, digits and dashes');
  }
  return { user, password };
}

/** The long form, or the short one where the hash is not known. */
export function formatToken({ user, password, caHash }: Token): string {
  return caHash === undefined ? password : `${mark}${caHash}::${user}:${password}`;
}

/**
 * The hash of an authority as tokens carry it. Source: K3s: of one certificate the PEM text as it
 * was served; of a chain the DER form of the root that the first one leads to, so that a renewed
 * intermediate keeps the tokens good.
 *
 * @param bundlePem - one or more certificates in PEM form
 * @throws StartupError ERR_TOKEN when there is no certificate in it, or the first leads to no root in it
 */
export function caHashOf(bundlePem: string): string {
  const certificates = certificatesIn(bundlePem);
  const [first] = certificates;
  if (first === undefined) throw tokenError('the authority to be hashed has no certificate');
  if (certificates.length === 1) return sha256(bundlePem);
  const root = rootOf(first, certificates);
  if (root === undefined) throw tokenError('the first certificate of the authority leads to no root in it');
  return sha256(root.raw);
}

/**
 * The part of an authority that its hash speaks for: what leads to the hashed root. Of a chain the
 * hash says nothing about what else is in the file, and whoever is in between may have added to it.
 *
 * @throws as {@link caHashOf}
 */
export function vouchedFor(bundlePem: string): string {
  const certificates = certificatesIn(bundlePem);
  if (certificates.length <= 1) return bundlePem;
  const hash = caHashOf(bundlePem);
  return certificates
    .filter((one) => {
      const root = rootOf(one, certificates);
      return root !== undefined && sha256(root.raw) === hash;
    })
    .map(String)
    .join('');
}

/** Undefined when it leads to none in the bundle. */
function rootOf(first: X509Certificate, bundle: readonly X509Certificate[]): X509Certificate | undefined {
  let current = first;
  // A chain cannot be longer than the bundle; a ring of certificates must not be followed for ever.
  for (let steps = 0; steps <= bundle.length; steps += 1) {
    if (current.checkIssued(current) && current.verify(current.publicKey)) return current;
    const below = current;
    const issuer = bundle.find((one) => one !== below && below.checkIssued(one) && below.verify(one.publicKey));
    if (issuer === undefined) return undefined;
    current = issuer;
  }
  return undefined;
}

/** @throws StartupError ERR_TOKEN for one that cannot be read */
export function certificatesIn(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw tokenError('the authority has a certificate that cannot be read', error);
    }
  });
}

const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');

/** Compares in a time that tells nothing about either, their lengths included. */
export function sameSecret(one: string, other: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}

function tokenError(why: string, cause?: unknown): StartupError {
  return new StartupError(
    'ERR_TOKEN',
    `cannot use the token: ${why}`,
    { why },
    cause === undefined ? undefined : { cause },
  );
}
