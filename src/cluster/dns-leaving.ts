/**
 * The mark of a server that leaves cluster DNS by its own will: a file, from before it says so in the API until it
 * answers again. Its own look (dns-look.ts, another process) would else find that it answers, and put it back.
 *
 * Not in the API: an API that is away could not take the mark back, and nobody else has to know.
 */
import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';

export interface DnsLeaving {
  set(): Promise<void>;
  clear(): Promise<void>;
  /** What cannot be read counts as no mark. */
  isSet(): Promise<boolean>;
}

export function dnsLeaving(file: string): DnsLeaving {
  return {
    async set() {
      await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
      await writeFile(file, '', { mode: 0o600 });
    },
    clear: () => rm(file, { force: true }),
    isSet: () =>
      stat(file).then(
        () => true,
        () => false,
      ),
  };
}
