/**
 * The `product-uuid` builtin: the firmware's UUID is the same in every container of a host, and what
 * tells nodes apart by it (kubelet's systemUUID) takes them for one. Each gets one made from its
 * machine-id, mounted over the file.
 */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Builtin } from '../../unit/builtin.ts';
import { readMounts } from '../mountinfo.ts';
import { readIfThere, writeIfChanged } from '../../kernel/stored-file.ts';
import { machineIdFile } from './machine-id.ts';
import { mount, resolveLinks, type ContainerPlace } from './place.ts';

/** Source: Linux ABI/testing/sysfs-class-dmi; absent where there is no such firmware. */
const uuidFile = '/sys/class/dmi/id/product_uuid';

/** RFC 9562 form, version 8: made by a rule of ours. */
export function uuidOf(machineId: string): string {
  const digits = `${machineId.slice(0, 12)}8${machineId.slice(13, 16)}a${machineId.slice(17)}`;
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

export function productUuidBuiltin({ root, proc }: ContainerPlace, dataDir: string, file = uuidFile): Builtin {
  return async (context) => {
    const firmware = ((await readIfThere(root + file).catch(() => '')) ?? '').trim();
    if (firmware === '') {
      context.log('the firmware shows no product_uuid here: nothing that could clash');
      return;
    }
    const machineId = ((await readIfThere(root + machineIdFile)) ?? '').trim();
    const uuid = uuidOf(machineId);
    if (firmware === uuid) {
      context.log(`product_uuid is ${uuid}`);
      return;
    }
    // Mounts are on what the links of /sys lead to.
    const target = await resolveLinks(context, file);
    const own = path.join(dataDir, 'agent/product_uuid');
    await mkdir(path.dirname(own), { recursive: true });
    await writeIfChanged(own, `${uuid}\n`, 0o444);
    if (readMounts(proc).some(({ point }) => point === target)) {
      context.log(`product_uuid is ${firmware}: set by the engine`);
      return;
    }
    await mount(context, '--bind', own, target);
    await mount(context, '-o', 'remount,bind,ro', target);
    context.log(`product_uuid was ${firmware}, the host's; it is ${uuid} now`);
  };
}
