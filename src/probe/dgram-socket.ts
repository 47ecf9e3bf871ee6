/**
 * Unix datagram sockets, which Node.js does not have: the only place that loads node-unix-socket.
 *
 * Its front door asks for a diagnostic report of the whole process, to learn which C library this
 * is: 8 ms on the way to the first unit that notifies. Where glibc's `ldd` is there, its loader reads
 * that instead when it finds no reports; so for the moment of loading there are none.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { DgramSocket } from 'node-unix-socket';

let loaded: (new () => DgramSocket) | undefined;

/** @throws when there is no binary of it for this platform */
export function dgramSocket(): DgramSocket {
  loaded ??= existsSync('/usr/bin/ldd') ? withoutReports(load) : load();
  return new loaded();
}

function load(): new () => DgramSocket {
  // Not the package's index, which loads worker threads.
  const library = createRequire(import.meta.url)('node-unix-socket/js/dgram.js') as {
    DgramSocket: new () => DgramSocket;
  };
  return library.DgramSocket;
}

function withoutReports<T>(run: () => T): T {
  const report = Object.getOwnPropertyDescriptor(process, 'report');
  if (report?.configurable !== true) return run();
  Object.defineProperty(process, 'report', { value: undefined, configurable: true });
  try {
    return run();
  } finally {
    Object.defineProperty(process, 'report', report);
  }
}
