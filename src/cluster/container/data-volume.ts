/**
 * The `data-volume` builtin: containerd lays the images of pods in overlays below the data directory, and an
 * overlay cannot lie on the overlay that is the container's own root. Without a volume there the node
 * would become Ready and every pod would fail with `failed to mount rootfs component`; and the
 * cluster's data would go with the container.
 */
import { StartupError } from '../../error/startup-error.ts';
import type { Builtin } from '../../unit/builtin.ts';
import { isUnder, readMounts, type Mount } from '../mountinfo.ts';
import { resolveLinks, type ContainerPlace } from './place.ts';

/** File systems of containers' roots on which the kernel refuses an overlay's upper layer. */
const layered = new Set(['overlay', 'aufs', 'fuse.fuse-overlayfs']);

/** The mount that a path lies on: of the longest mount points above it the last one mounted. */
export function mountOf(file: string, mounts: readonly Mount[]): Mount | undefined {
  return mounts
    .filter(({ point }) => isUnder(point, file))
    .reduce<Mount | undefined>(
      (best, next) => (best === undefined || next.point.length >= best.point.length ? next : best),
      undefined,
    );
}

export function dataVolumeBuiltin({ proc }: ContainerPlace, dataDir: string): Builtin {
  return async (context) => {
    const folder = await resolveLinks(context, dataDir);
    const found = mountOf(folder, readMounts(proc));
    if (found === undefined || !layered.has(found.type)) {
      context.log(`${dataDir} lies on ${found?.type ?? 'an unknown file system'} (${found?.source ?? '?'})`);
      return;
    }
    throw new StartupError(
      'ERR_CONFIG',
      `cannot keep pods below ${dataDir}: it lies on ${found.type}, the container's own layers, and an overlay cannot lie on ` +
        `another one; mount a volume there: --volume NAME:${dataDir}`,
      { folder: dataDir, fileSystem: found.type, mountPoint: found.point },
    );
  };
}
