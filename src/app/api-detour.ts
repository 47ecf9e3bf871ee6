/**
 * While this machine's own API server does not answer, the process of virtual IPs asks another one: only so can
 * it say that it is to be relieved of the API servers' address, and need not wait for the end of its Lease.
 * Which others there are it knows from before.
 */
import { hostOfServer } from '../probe/connection.ts';

export interface ApiDetourOptions {
  /** host:port of all API servers, as they were last seen. */
  readonly known: () => readonly string[];
  /** Of this machine. */
  readonly ownAddresses: () => ReadonlySet<string>;
  /** undefined: its own again. */
  readonly redirect: (url: string | undefined) => void;
}

export interface ApiDetour {
  own(isReady: boolean): void;
  /** A request has failed. */
  failed(): void;
}

export function apiDetour({ known, ownAddresses, redirect }: ApiDetourOptions): ApiDetour {
  let isOwnReady = true;
  let asked: string | undefined;

  const ask = (next: string | undefined) => {
    asked = next;
    redirect(next === undefined ? undefined : `https://${next}`);
  };
  const next = (): string | undefined => {
    const own = ownAddresses();
    const others = known().filter((each) => !own.has(hostOfServer(each)));
    return others[(others.indexOf(asked ?? '') + 1) % Math.max(1, others.length)];
  };
  return {
    own(isReady) {
      isOwnReady = isReady;
      ask(isReady ? undefined : next());
    },
    failed() {
      if (!isOwnReady) ask(next());
    },
  };
}
