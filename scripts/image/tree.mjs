/** Files of this machine as entries of an image's tree. */
import { lstat, readdir, readFile, readlink, stat } from 'node:fs/promises';
import path from 'node:path';

/** One file; links are followed. */
export async function fileEntry(source, target, mode) {
  const { size, mode: found } = await stat(source);
  return { path: target, type: 'file', mode: mode ?? (found & 0o111 ? 0o755 : 0o644), size, source };
}

export const linkEntry = (at, target) => ({ path: at, type: 'symlink', mode: 0o777, target });
export const folderEntry = (at, mode = 0o755) => ({ path: at, type: 'directory', mode });

/** Everything below `folder`, as it would lie below `target`. Links stay links. */
export async function treeEntries(folder, target, isWanted = () => true) {
  const entries = [];
  for (const { name } of await readdir(folder, { withFileTypes: true })) {
    const source = path.join(folder, name);
    const at = `${target}/${name}`;
    if (!isWanted(source)) continue;
    const found = await lstat(source);
    if (found.isDirectory()) entries.push(folderEntry(at), ...(await treeEntries(source, at, isWanted)));
    else if (found.isSymbolicLink()) entries.push(linkEntry(at, await readlink(source)));
    else if (found.isFile()) entries.push(await fileEntry(source, at));
  }
  return entries;
}

/**
 * The packages of node_modules that `names` need, each with its folder. What is optional and not
 * installed (for another platform) is left out.
 */
export async function moduleEntries(root, names, target) {
  const folders = new Map();
  const visit = async (name, from, isOptional) => {
    const folder = await findModule(name, from, root);
    if (folder === undefined) {
      if (isOptional) return;
      throw new Error(`cannot find the package ${name} above ${from}`);
    }
    if (folders.has(folder)) return;
    folders.set(folder, name);
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
      await readFile(path.join(folder, 'package.json'), 'utf8'),
    );
    for (const each of Object.keys({ ...dependencies, ...optionalDependencies })) {
      await visit(each, folder, each in optionalDependencies);
    }
  };
  for (const [name, isOptional] of names) await visit(name, root, isOptional);
  const outermost = [...folders.keys()].filter(
    (folder) => ![...folders.keys()].some((other) => folder.startsWith(`${other}/`)),
  );
  const needless = /\.(?:map|md|markdown|ts|mts|cts|flow)$|\/(?:test|tests|docs|examples?|\.github)$/;
  const trees = await Promise.all(
    outermost.map((folder) => {
      const at = path.relative(path.join(root, 'node_modules'), folder);
      return treeEntries(folder, `${target}/${at}`, (file) => !needless.test(file));
    }),
  );
  return trees.flat();
}

async function findModule(name, from, root) {
  for (let folder = from; folder.startsWith(root); folder = path.dirname(folder)) {
    const candidate = path.join(folder, 'node_modules', name);
    if (await stat(path.join(candidate, 'package.json')).catch(() => undefined)) return candidate;
  }
  return undefined;
}
