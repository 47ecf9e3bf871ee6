/**
 * Encrypts what only another server of the cluster may read, with the token's password: the keys of
 * the authorities on their way to a joining server, and wherever they are kept for one.
 *
 * AES-256-GCM with a key by scrypt. The text is `v1.<salt>.<nonce>.<tag>.<data>`, each in base64url:
 * whoever changes a bit of it, its salt included, is noticed.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { StartupError } from '../../error/startup-error.ts';
import { deriveKey } from './derive-key.ts';

const version = 'v1';
const saltBytes = 16;
/** Source: NIST SP 800-38D, the nonce of GCM. */
const nonceBytes = 12;
const tagBytes = 16;
const keyBytes = 32;
/** N = 2^15 takes about 0.1 s and 32 MiB: once for each server that joins. Source: RFC 7914, §2. */
const cost = { N: 32_768, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };

const keyOf = (password: string, salt: Buffer) => deriveKey(password, salt, keyBytes, cost);

export async function sealWithToken(text: string, password: string): Promise<string> {
  const salt = randomBytes(saltBytes);
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv('aes-256-gcm', await keyOf(password, salt), nonce);
  const data = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return [version, ...[salt, nonce, cipher.getAuthTag(), data].map((part) => part.toString('base64url'))].join('.');
}

/** @throws StartupError ERR_TOKEN when it was sealed with another password, changed on its way, or is none of ours */
export async function unsealWithToken(sealed: string, password: string): Promise<string> {
  const [first, ...encoded] = sealed.split('.');
  const [salt, nonce, tag, data] = encoded.map((part) => Buffer.from(part, 'base64url'));
  if (
    first !== version ||
    encoded.length !== 4 ||
    salt?.length !== saltBytes ||
    nonce?.length !== nonceBytes ||
    tag?.length !== tagBytes ||
    data === undefined
  ) {
    throw sealError('it is not of the form that this version of k3s-lite seals');
  }
  const decipher = createDecipheriv('aes-256-gcm', await keyOf(password, salt), nonce).setAuthTag(tag);
  try {
    return Buffer.concat([decipher.update(data), decipher.final()]).toString('utf8');
  } catch (error) {
    throw sealError('it was sealed with another token, or changed on its way', error);
  }
}

function sealError(why: string, cause?: unknown): StartupError {
  const options = cause === undefined ? undefined : { cause };
  return new StartupError('ERR_TOKEN', `cannot open what the server has sealed: ${why}`, { why }, options);
}
