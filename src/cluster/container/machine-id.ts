/**
 * The `machine-id` builtin: kubelet reports /etc/machine-id as the node's identity. An image has
 * none, or all its containers the same. It is made once and kept with the data, so that a new
 * container on the same volume is the same machine.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Builtin } from '../../unit/builtin.ts';
import { readIfThere, writeIfChanged } from '../../kernel/stored-file.ts';
import type { ContainerPlace } from './place.ts';

/** Source: machine-id(5). */
export const machineIdFile = '/etc/machine-id';
const format = /^[0-9a-f]{32}$/;

export function machineIdBuiltin({ root }: ContainerPlace, dataDir: string): Builtin {
  return async ({ log }) => {
    const kept = path.join(dataDir, 'agent/machine-id');
    const file = root + machineIdFile;
    const present = ((await readIfThere(file)) ?? '').trim();
    const ours = ((await readIfThere(kept)) ?? '').trim();
    if (format.test(ours) && ours === present) {
      log(`${machineIdFile} is ${ours}`);
      return;
    }
    const id = format.test(ours) ? ours : randomBytes(16).toString('hex');
    await mkdir(path.dirname(kept), { recursive: true });
    await writeIfChanged(kept, `${id}\n`);
    // In place and not by renaming: an engine may have mounted the file.
    await writeFile(file, `${id}\n`);
    const was = present === '' ? 'was not set' : `was ${present}, the image's or the host's`;
    log(`${machineIdFile} ${was}; it is ${id} now${format.test(ours) ? ', as before on this volume' : ''}`);
  };
}
