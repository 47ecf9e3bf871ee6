/** A key from a password, by scrypt on a thread of its own; what it may cost is the caller's to say. */
import { scrypt, type ScryptOptions } from 'node:crypto';

export function deriveKey(password: string, salt: Buffer, bytes: number, cost: ScryptOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, bytes, cost, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}
