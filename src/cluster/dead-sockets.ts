/** Unix sockets whose listener was killed: the kernel leaves their files, which are of no use to anybody. */
import { readdir, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { net } from '../kernel/lazily.ts';

/** Between making a socket and listening on it lie microseconds; a younger one is left alone, in milliseconds. */
const youngMs = 5000;

/** @param nowMs - wall time, as that of files is */
export async function removeDeadSockets(folder: string, nowMs: number): Promise<void> {
  for (const name of await readdir(folder).catch((): string[] => [])) {
    const file = path.join(folder, name);
    const found = await stat(file).catch(() => undefined);
    if (found?.isSocket() !== true || nowMs - found.mtimeMs < youngMs) continue;
    if (await isRefused(file)) await unlink(file);
  }
}

function isRefused(file: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net().connect({ path: file });
    const tell = (refused: boolean) => {
      socket.destroy();
      resolve(refused);
    };
    socket.once('connect', () => tell(false));
    socket.once('error', (error: NodeJS.ErrnoException) => tell(error.code === 'ECONNREFUSED'));
  });
}
