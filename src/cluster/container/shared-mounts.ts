/**
 * The `shared-mounts` builtin: engines give a container private mounts, but a volume that a pod
 * mounts with `mountPropagation: Bidirectional` has to be seen by kubelet and by other pods.
 */
import type { Builtin } from '../../unit/builtin.ts';
import { readMounts } from '../mountinfo.ts';
import { mount, type ContainerPlace } from './place.ts';

export function sharedMountsBuiltin({ proc }: ContainerPlace): Builtin {
  return async (context) => {
    const mounts = readMounts(proc);
    const apart = mounts.filter(({ isShared }) => !isShared);
    if (apart.length === 0) {
      context.log(`all ${String(mounts.length)} mounts are shared already`);
      return;
    }
    await mount(context, '--make-rshared', '/');
    const left = readMounts(proc).filter(({ isShared }) => !isShared);
    if (left.length > 0) throw new Error(`cannot share ${left.map(({ point }) => point).join(', ')}`);
    context.log(`made ${String(apart.length)} private mounts shared, / and ${String(apart.length - 1)} below it`);
  };
}
