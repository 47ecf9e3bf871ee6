/** What units/container/ runs, by name. */
import type { Builtin } from '../../unit/builtin.ts';
import type { Settings } from '../settings.ts';
import { cgroupMountsBuiltin } from './cgroup-mounts.ts';
import { cgroupNestingBuiltin } from './cgroup-nesting.ts';
import { dataVolumeBuiltin } from './data-volume.ts';
import { iptablesFlavourBuiltin } from './iptables-flavour.ts';
import { kmsgBuiltin } from './kmsg.ts';
import { machineIdBuiltin } from './machine-id.ts';
import { ownContainer } from './place.ts';
import { productUuidBuiltin } from './product-uuid.ts';
import { resolvConfBuiltin } from './resolv-conf.ts';
import { runTmpfsBuiltin } from './run-tmpfs.ts';
import { sharedMountsBuiltin } from './shared-mounts.ts';

export function containerBuiltins(settings: Settings) {
  const { dataDir } = settings;
  return {
    'cgroup-mounts': cgroupMountsBuiltin(ownContainer),
    'cgroup-nesting': cgroupNestingBuiltin(ownContainer),
    'data-volume': dataVolumeBuiltin(ownContainer, dataDir),
    'iptables-flavour': iptablesFlavourBuiltin(),
    kmsg: kmsgBuiltin(ownContainer),
    'machine-id': machineIdBuiltin(ownContainer, dataDir),
    'product-uuid': productUuidBuiltin(ownContainer, dataDir),
    'resolv-conf': resolvConfBuiltin(ownContainer, settings),
    'run-tmpfs': runTmpfsBuiltin(ownContainer, ['/run/k3s-lite']),
    'shared-mounts': sharedMountsBuiltin(ownContainer),
  } satisfies Record<string, Builtin>;
}
