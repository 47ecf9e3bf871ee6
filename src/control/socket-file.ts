/**
 * The control socket as a file: who may reach it, and what to do with one that a dead k3s-lite left.
 *
 * Node.js cannot ask the peer of a unix socket who it is (SO_PEERCRED), so permissions do it: the
 * socket is 0600 in a folder that is 0700, below folders that nobody else can rename.
 */
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import type { Server } from 'node:net';
import path from 'node:path';
import { StartupError } from '../error/startup-error.ts';
import { net } from '../kernel/lazily.ts';
import { makeFolderWithParents } from '../kernel/make-folders.ts';

/** Bytes of a unix socket's path. Source: unix(7), sun_path holds 108 with the closing zero. */
const maxSocketPath = 107;

/**
 * Makes `server` listen on `socketPath`, replacing the socket of a dead process.
 *
 * @throws StartupError ERR_CONTROL if the path is too long, the folder is not safe, or somebody answers there
 */
export async function listenPrivately(server: Server, socketPath: string): Promise<void> {
  if (Buffer.byteLength(socketPath) > maxSocketPath) {
    throw controlError(`the path of the control socket is longer than ${String(maxSocketPath)} bytes: ${socketPath}`);
  }
  makePrivateFolder(path.dirname(socketPath));
  try {
    await listen(server, socketPath);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    if (await answers(socketPath)) throw controlError(`another k3s-lite answers on ${socketPath}`);
    rmSync(socketPath, { force: true });
    await listen(server, socketPath);
  }
  chmodSync(socketPath, 0o600);
}

/**
 * Makes the folder with mode 0700 and checks that nobody but us and root can put another in its place.
 *
 * @throws StartupError ERR_CONTROL if somebody else could
 */
export function makePrivateFolder(folder: string): void {
  makeFolderWithParents(folder);
  const uid = process.getuid?.() ?? 0;
  const own = lstatSync(folder);
  if (!own.isDirectory() || own.uid !== uid) {
    throw controlError(`${folder} must be a folder of this user: remove it, or choose another place`);
  }
  chmodSync(folder, 0o700);
  for (let above = path.dirname(folder); ; above = path.dirname(above)) {
    const { mode, uid: owner } = lstatSync(above);
    const isOpenToOthers = (mode & 0o022) !== 0 && (mode & 0o1000) === 0;
    if ((owner !== uid && owner !== 0) || isOpenToOthers) {
      throw controlError(`${above} can be changed by other users: the control socket would not be safe below it`);
    }
    if (above === path.dirname(above)) return;
  }
}

function listen(server: Server, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error) => {
      server.off('error', settle);
      server.off('listening', settle);
      if (error === undefined) resolve();
      else reject(error);
    };
    server.once('error', settle);
    server.once('listening', settle);
    server.listen(socketPath);
  });
}

/** True if a process accepts connections there. */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net().connect(socketPath);
    const settle = (isAlive: boolean) => {
      socket.destroy();
      resolve(isAlive);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}

function controlError(message: string): StartupError {
  return new StartupError('ERR_CONTROL', message, { phase: 'listen' });
}
