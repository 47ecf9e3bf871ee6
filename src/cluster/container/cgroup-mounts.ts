/**
 * The `cgroup-mounts` builtin: kubelet finds its cgroups by their mounts. Some engines mount none, or
 * read-only ones; then they are mounted here as a system's own init does it.
 *
 * With a cgroup namespace of the container's own (asked for by the engine) these show the container's part of
 * the tree; without one they show the host's, which is said, because then `kubepods` lies beside the host's.
 */
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Builtin, BuiltinContext } from '../../unit/builtin.ts';
import { isUnder, readMounts } from '../mountinfo.ts';
import { mount, type ContainerPlace } from './place.ts';

const cgroupFolder = '/sys/fs/cgroup';

/** Source: cgroups(7), /proc/PID/cgroup: "ID:controllers:path"; the unified tree has the id 0 and no controllers. */
export function parseCgroups(text: string): readonly { readonly controllers: string; readonly path: string }[] {
  return text.split('\n').flatMap((line) => {
    const [, controllers, own] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    return controllers === undefined || own === undefined ? [] : { controllers, path: own };
  });
}

/** One call of mount(8) for each hierarchy, as systemd lays them out: v1 controllers in folders of a tmpfs, beside the unified tree. */
export function mountsFor(controllers: readonly string[]): readonly (readonly string[])[] {
  const [only] = controllers;
  if (controllers.length === 1 && only === '') return [['-t', 'cgroup2', 'cgroup2', cgroupFolder]];
  return [
    ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', cgroupFolder],
    ...controllers.map((names) => {
      if (names === '') return ['-t', 'cgroup2', 'cgroup2', path.join(cgroupFolder, 'unified')];
      const named = /^name=(.*)$/.exec(names)?.[1];
      const options = named === undefined ? names : `none,${names}`;
      return ['-t', 'cgroup', '-o', options, 'cgroup', path.join(cgroupFolder, named ?? names)];
    }),
  ];
}

export function cgroupMountsBuiltin(place: ContainerPlace): Builtin {
  return async (context) => {
    const own = parseCgroups(await readFile(`${place.proc}/cgroup`, 'utf8'));
    warnOfHostTree(context, own);
    const found = readMounts(place.proc).filter(
      ({ type, point }) => /^cgroup2?$/.test(type) && isUnder(cgroupFolder, point),
    );
    if (found.length === 0) return mountAll(context, place, own);
    const readOnly = found.filter(({ isReadOnly }) => isReadOnly);
    for (const { point } of readOnly) await mount(context, '-o', 'remount,bind,rw', point);
    const remounted = readOnly.length === 0 ? '' : `; made ${String(readOnly.length)} of them writable`;
    context.log(`found ${String(found.length)} cgroup mounts below ${cgroupFolder}${remounted}`);
  };
}

async function mountAll(
  context: BuiltinContext,
  { root }: ContainerPlace,
  own: ReturnType<typeof parseCgroups>,
): Promise<void> {
  const calls = mountsFor(own.map(({ controllers }) => controllers));
  for (const args of calls) {
    const point = args.at(-1) ?? '';
    // Their folders lie in the tmpfs of the first call.
    if (point !== cgroupFolder) await mkdir(root + point, { recursive: true });
    await mount(context, ...args);
  }
  const names = own.map(({ controllers }) => (controllers === '' ? 'the unified tree' : controllers));
  context.log(`found no cgroup mounts; mounted ${names.join(', ')} below ${cgroupFolder}`);
}

/** In a namespace of its own a process is at the root of every hierarchy, or below it where it was moved inside. */
function warnOfHostTree({ log }: BuiltinContext, own: ReturnType<typeof parseCgroups>): void {
  const outside = own.find(({ path: at }) =>
    /^\/(?:docker|default|k8s\.io|machine\.slice|system\.slice|\.\.)/.test(at),
  );
  if (outside === undefined) return;
  log(
    `no cgroup namespace of its own (this process is in ${outside.path}): pods' cgroups would lie beside the host's and ` +
      'stay behind; run the container with `--cgroupns=private`',
  );
}
