/**
 * The `import-images` builtin: the sandbox image, packed from the pause program, and every archive
 * in the images folder go into containerd. What has not changed since the last import is skipped;
 * the stamps lie inside containerd's own root, so that they go when its images go.
 */
import { mkdir, readdir, readFile, stat, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { describeExit } from '../error/readiness-error.ts';
import { StartupError } from '../error/startup-error.ts';
import type { Builtin, BuiltinContext } from '../unit/builtin.ts';
import { pauseImage } from './config-files.ts';
import { layoutOf } from './layout.ts';
import { goArchitecture, packOciArchive, type ImageRecipe } from './oci-archive.ts';
import type { Settings } from './settings.ts';
import { readIfThere, writeAtomically } from '../kernel/stored-file.ts';
import { messageOf } from '../kernel/message-of.ts';

/** File → size and time of its last change when it was imported. */
const stampsSchema = z.record(z.string(), z.string());
type Stamps = z.infer<typeof stampsSchema>;

export function importImagesBuiltin(settings: Settings): Builtin {
  const { images, containerdRoot } = layoutOf(settings);
  const stampFile = path.join(containerdRoot, 'k3s-lite-imported.json');
  return async (context) => {
    await mkdir(images, { recursive: true, mode: 0o755 });
    const stamps = await readStamps(stampFile);
    const fresh: Stamps = {};
    const failures: string[] = [];
    const importOnce = async (source: string, load: () => Promise<void>) => {
      const stamp = await stampOf(source);
      if (stamps[source] !== stamp) {
        try {
          await load();
        } catch (error) {
          context.signal.throwIfAborted();
          failures.push(messageOf(error));
          return;
        }
      }
      fresh[source] = stamp;
    };

    if (settings.pauseProgram === undefined) {
      throw new StartupError('ERR_COMPONENT', 'cannot pack the sandbox image: there is no pause program', {
        searched: settings.searchPath,
      });
    }
    const pause = settings.pauseProgram;
    await importOnce(pause, async () => importRecipe(context, settings, await pauseRecipe(pause)));
    const archives = (await readdir(images)).filter((name) => name.endsWith('.tar')).sort();
    for (const name of archives) {
      const archive = path.join(images, name);
      await importOnce(archive, () => importArchive(context, settings, archive));
    }
    if (JSON.stringify(fresh) !== JSON.stringify(stamps)) {
      await writeAtomically(stampFile, `${JSON.stringify(fresh, null, 2)}\n`, 0o644);
    }
    if (failures.length > 0) throw new Error(failures.join('; '));
  };
}

async function pauseRecipe(program: string): Promise<ImageRecipe> {
  const content = await readFile(program);
  return {
    name: pauseImage,
    architecture: goArchitecture(),
    entries: [{ kind: 'file', path: 'pause', mode: 0o755, content }],
    entrypoint: ['/pause'],
  };
}

/** Packs an image of our own and imports it. */
export async function importRecipe(context: BuiltinContext, settings: Settings, recipe: ImageRecipe): Promise<void> {
  const archive = path.join(settings.runDir, `${recipe.name.replace(/[^a-z0-9]+/g, '-')}.tar`);
  await mkdir(settings.runDir, { recursive: true, mode: 0o700 });
  await writeFile(archive, packOciArchive(recipe).bytes, { mode: 0o600 });
  try {
    await importArchive(context, settings, archive);
  } finally {
    await unlink(archive);
  }
}

async function importArchive({ run, log }: BuiltinContext, settings: Settings, archive: string): Promise<void> {
  const ctr = ['ctr', '--address', layoutOf(settings).containerdSocket, '--namespace', 'k8s.io'];
  const { exit, output } = await run([...ctr, 'images', 'import', archive]);
  if (exit.kind !== 'code' || exit.code !== 0) {
    const last = output.trimEnd().split('\n').at(-1) ?? '';
    throw new Error(`cannot import ${archive}: ctr ${describeExit(exit)}: ${last}`);
  }
  log(`imported ${archive}`);
}

async function stampOf(file: string): Promise<string> {
  const { size, mtimeMs } = await stat(file);
  return `${String(size)} ${String(mtimeMs)}`;
}

/** Unreadable stamps only cost an import. */
async function readStamps(file: string): Promise<Stamps> {
  try {
    return stampsSchema.parse(JSON.parse((await readIfThere(file)) ?? '{}'));
  } catch {
    return {};
  }
}
