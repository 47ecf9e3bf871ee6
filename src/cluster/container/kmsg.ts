/**
 * The `kmsg` builtin: kubelet reads the kernel's messages (out-of-memory kills) from /dev/kmsg and
 * exits without it. Engines leave the device out, or its permission.
 */
import { open, rm, symlink } from 'node:fs/promises';
import type { Builtin } from '../../unit/builtin.ts';
import type { ContainerPlace } from './place.ts';

const device = '/dev/kmsg';

export function kmsgBuiltin({ root }: ContainerPlace): Builtin {
  return async ({ run, log }) => {
    const file = root + device;
    const first = await openError(file);
    if (first === undefined) {
      log(`${device} can be read`);
      return;
    }
    // Source: Linux admin-guide/devices: character device 1, 11.
    await rm(file, { force: true });
    await run(['mknod', '--mode=0644', file, 'c', '1', '11']);
    const second = await openError(file);
    if (second === undefined) {
      log(`${device} was not there (${first}); made it`);
      return;
    }
    await rm(file, { force: true });
    const console_ = await openError(`${root}/dev/console`);
    if (console_ === undefined) {
      await symlink('/dev/console', file);
      log(
        `${device} is not allowed here (${second}): a link to /dev/console instead, so out-of-memory kills are not seen`,
      );
      return;
    }
    throw new Error(
      `cannot make ${device} (${second}), and there is no /dev/console (${console_}) to stand in for it: kubelet exits ` +
        'without; run the container with `--privileged` or `--device /dev/kmsg`',
    );
  };
}

/** The reason why it cannot be opened for reading; nothing is read and nobody waits. */
async function openError(file: string): Promise<string | undefined> {
  try {
    const handle = await open(file, 'r');
    await handle.close();
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}
