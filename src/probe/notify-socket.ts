/**
 * Receives sd_notify datagrams: one socket for each generation of a unit, in a folder that only we
 * may enter. The path is the sender's identity, because node-unix-socket does not pass credentials.
 *
 * The library is loaded at the first `open`: it costs about 10 ms, and many graphs need none.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Clock } from '../kernel/clock.ts';
import { dgramSocket } from './dgram-socket.ts';
import { readDatagram, silentState } from './notify-state.ts';
import type { NotifyPort, NotifySocket, NotifyState } from './notify-port.ts';

/** Longest path of a unix socket: 108 bytes with the closing NUL. Source: unix(7). */
const maxPathBytes = 107;

/** Folder of a socket for which the usual one lies too deep. */
const privateFolder = join(tmpdir(), 'k3s-lite-notify-');

export interface NotifyPortOptions {
  /** Folder of the sockets; made with mode 0700. */
  readonly dir: string;
  readonly clock: Clock;
}

export function createNotifyPort({ dir, clock }: NotifyPortOptions): NotifyPort {
  let opened = 0;
  return {
    open(unit, generation) {
      opened += 1;
      const name = `${unit}.${String(generation)}`;
      // Too deep for any name: a private folder elsewhere, which goes with the socket.
      if (Buffer.byteLength(join(dir, '999999')) > maxPathBytes) {
        const folder = mkdtempSync(privateFolder);
        return openSocket(join(folder, String(opened)), clock, () => {
          rmSync(folder, { recursive: true, force: true });
        });
      }
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      chmodSync(dir, 0o700);
      const path = socketPath(dir, name, opened);
      return openSocket(path, clock, () => {
        rmSync(path, { force: true });
      });
    },
    reopen(path, heard) {
      const folder = dirname(path);
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const removed = folder.startsWith(privateFolder) ? folder : path;
      const remove = () => rmSync(removed, { recursive: true, force: true });
      return openSocket(path, clock, remove, { ...silentState, ...heard });
    },
  };
}

function socketPath(folder: string, name: string, number: number): string {
  const speaking = join(folder, name);
  return Buffer.byteLength(speaking) <= maxPathBytes ? speaking : join(folder, String(number));
}

function openSocket(path: string, clock: Clock, remove: () => void, heard = silentState): NotifySocket {
  rmSync(path, { force: true }); // Left by a supervisor that was killed.
  const socket = dgramSocket();
  const listeners = new Set<(state: NotifyState) => void>();
  let current = heard;
  let closed = false;
  socket.on('data', (datagram: Uint8Array) => {
    // The library hands over what it has read in a later tick: that may be after the close.
    if (closed) return;
    const next = readDatagram(current, datagram, clock.monotonicMs());
    if (next === undefined) return;
    current = next;
    for (const listener of [...listeners]) listener(current);
  });
  // It closes itself on an error. Then no more is heard of the process, and its check fails in time.
  socket.on('error', () => undefined);
  try {
    socket.bind(path);
  } catch (error) {
    socket.close();
    remove();
    throw error;
  }
  return {
    path,
    get current() {
      return current;
    },
    subscribe(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    [Symbol.dispose]() {
      if (closed) return;
      closed = true;
      listeners.clear();
      socket.close();
      remove();
    },
  };
}
