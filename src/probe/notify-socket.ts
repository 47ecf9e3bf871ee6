/**
 * Receives sd_notify datagrams: one socket for each generation of a unit, in a folder that only we
 * may enter. The path is the sender's identity, because node-unix-socket does not pass credentials.
 *
 * A unit of another user cannot enter that folder. Its socket lies in a second one, which is ours too,
 * so that nobody can put another socket in its place: anybody may pass through it, only we may list or
 * change it, and only that user may send to the socket (source: unix(7), sending needs write permission).
 *
 * The library is loaded at the first `open`: it costs about 10 ms, and many graphs need none.
 */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Clock } from '../kernel/clock.ts';
import { makeFolderWithParents } from '../kernel/make-folders.ts';
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
  /** Folder of the sockets of other users' units; made with mode 0711, and removed with its last socket. Only we may write to the one above it. */
  readonly openDir: string;
  readonly clock: Clock;
}

export function createNotifyPort({ dir, openDir, clock }: NotifyPortOptions): NotifyPort {
  let opened = 0;
  /** The socket of another user's unit. */
  const openFor = (ownerUid: number, path: string, heard?: NotifyState): NotifySocket => {
    mkdirSync(openDir, { recursive: true });
    chmodSync(openDir, 0o711);
    return openSocket({
      path,
      clock,
      heard,
      ownerUid,
      remove() {
        rmSync(path, { force: true });
        removeIfEmpty(openDir);
      },
    });
  };
  return {
    open(unit, generation, ownerUid) {
      opened += 1;
      const name = `${unit}.${String(generation)}`;
      if (ownerUid !== undefined) return openFor(ownerUid, socketPath(openDir, name, opened));
      // Too deep for any name: a private folder elsewhere, which goes with the socket.
      if (Buffer.byteLength(join(dir, '999999')) > maxPathBytes) {
        const folder = mkdtempSync(privateFolder);
        const remove = () => rmSync(folder, { recursive: true, force: true });
        return openSocket({ path: join(folder, String(opened)), clock, remove });
      }
      makeFolderWithParents(dir);
      chmodSync(dir, 0o700);
      const path = socketPath(dir, name, opened);
      return openSocket({ path, clock, remove: () => rmSync(path, { force: true }) });
    },
    reopen(path, heard, ownerUid) {
      const folder = dirname(path);
      if (ownerUid !== undefined && folder === openDir) return openFor(ownerUid, path, { ...silentState, ...heard });
      makeFolderWithParents(folder);
      const removed = folder.startsWith(privateFolder) ? folder : path;
      const remove = () => rmSync(removed, { recursive: true, force: true });
      return openSocket({ path, clock, remove, heard: { ...silentState, ...heard } });
    },
  };
}

function socketPath(folder: string, name: string, number: number): string {
  const speaking = join(folder, name);
  return Buffer.byteLength(speaking) <= maxPathBytes ? speaking : join(folder, String(number));
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Another unit has its socket there.
  }
}

interface SocketOptions {
  readonly path: string;
  readonly clock: Clock;
  remove(): void;
  /** Said before, to an earlier k3s-lite. */
  readonly heard?: NotifyState | undefined;
  /** Who else than we may send to it. */
  readonly ownerUid?: number;
}

function openSocket({ path, clock, remove, heard, ownerUid }: SocketOptions): NotifySocket {
  rmSync(path, { force: true }); // Left by a supervisor that was killed.
  const socket = dgramSocket();
  const listeners = new Set<(state: NotifyState) => void>();
  let current = heard ?? silentState;
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
    // Until here it is ours, and writable for nobody else by any usual umask.
    if (ownerUid !== undefined) {
      chmodSync(path, 0o600);
      chownSync(path, ownerUid, -1);
    }
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
