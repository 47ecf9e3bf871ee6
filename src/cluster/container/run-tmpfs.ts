/**
 * The `run-tmpfs` builtin: /run is for what ends with the machine. On the image's writable layer a
 * restarted container would find pid files, sockets and locks of its last run.
 *
 * k3s-lite's own folder is in use by then, so it stays where it is and is mounted through, as is
 * whatever the engine has mounted below /run.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rmdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Builtin, BuiltinContext } from '../../unit/builtin.ts';
import { isUnder, readMounts } from '../mountinfo.ts';
import { mount, type ContainerPlace } from './place.ts';

const folder = '/run';

/** @param kept - folders below /run that stay as they are */
export function runTmpfsBuiltin({ root, proc }: ContainerPlace, kept: readonly string[]): Builtin {
  return async (context) => {
    const mounts = readMounts(proc);
    const present = mounts.find(({ point }) => point === folder);
    if (present !== undefined) {
      context.log(`${folder} is a mount of its own (${present.type})`);
      return;
    }
    const below = mounts.filter(({ point }) => isUnder(folder, point)).map(({ point }) => point);
    // A mount that another one covers cannot be seen, nor kept.
    const through = outermost([...below, ...kept.filter((name) => isUnder(folder, name))]).filter((name) =>
      existsSync(root + name),
    );
    const draft = (await mkdtemp(`${root}/k3s-lite-run-`)).slice(root.length);
    try {
      // Source of the options: systemd's mount of /run.
      await mount(context, '-t', 'tmpfs', '-o', 'mode=755,nosuid,nodev', 'tmpfs', draft);
      for (const name of through) await mountThrough(context, root, name, draft + name.slice(folder.length));
      await mount(context, '--move', draft, folder);
    } catch (error) {
      await context.run(['umount', '--recursive', draft]);
      throw error;
    } finally {
      await rmdir(root + draft);
    }
    context.log(`${folder} lay on the image's layer; a tmpfs now, with ${through.join(', ') || 'nothing'} kept`);
  };
}

async function mountThrough(context: BuiltinContext, root: string, from: string, to: string): Promise<void> {
  if ((await stat(root + from)).isDirectory()) await mkdir(root + to, { recursive: true });
  else {
    await mkdir(path.dirname(root + to), { recursive: true });
    await writeFile(root + to, '');
  }
  await mount(context, '--rbind', from, to);
}

/** Those that lie in none of the others. */
function outermost(names: readonly string[]): readonly string[] {
  return [...new Set(names)].filter((name) => !names.some((other) => other !== name && isUnder(other, name)));
}
