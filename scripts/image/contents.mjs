/** What lies in the images, layer by layer. What changes most lies uppermost, so that little is made anew. */
import { execFile } from 'node:child_process';
import { readdir, readFile, realpath } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { fileEntry, folderEntry, linkEntry, moduleEntries, treeEntries } from './tree.mjs';

const home = 'opt/k3s-lite';

/** Node.js as it runs here. */
export async function nodeEntries() {
  return [await fileEntry(await realpath(process.execPath), 'usr/local/bin/node', 0o755)];
}

/** k3s-lite: the command, the units, and the sources by which builds of components are known. */
export async function ownEntries(root, { withComponents }) {
  const { dependencies, optionalDependencies = {} } = JSON.parse(
    await readFile(path.join(root, 'package.json'), 'utf8'),
  );
  // What is in the bundle is not needed beside it.
  const scripts = (await readdir(path.join(root, 'dist'))).filter((name) => /\.cjs(\.cache)?$/.test(name));
  const texts = await Promise.all(
    scripts.filter((name) => name.endsWith('.cjs')).map((name) => readFile(path.join(root, 'dist', name), 'utf8')),
  );
  const isRequired = (name) => texts.some((text) => text.includes(`("${name}")`) || text.includes(`("${name}/`));
  const modules = Object.keys({ ...dependencies, ...optionalDependencies })
    .filter(isRequired)
    .map((name) => [name, name in optionalDependencies]);
  return [
    ...(await treeEntries(path.join(root, 'bin'), `${home}/bin`)),
    ...(await Promise.all(scripts.map((name) => fileEntry(path.join(root, 'dist', name), `${home}/dist/${name}`)))),
    await fileEntry(path.join(root, 'package.json'), `${home}/package.json`),
    await fileEntry(path.join(root, 'LICENSE'), `${home}/LICENSE`),
    // Also where only own units run: the shipped ones are known by their place.
    ...(await treeEntries(path.join(root, 'units'), `${home}/units`)),
    ...(withComponents ? await treeEntries(path.join(root, 'components'), `${home}/components`) : []),
    ...(await moduleEntries(root, modules, `${home}/node_modules`)),
    linkEntry('usr/local/bin/k3s-lite', `/${home}/bin/k3s-lite.js`),
  ];
}

/**
 * The built components as k3s-lite's own cache keeps them: their versions are written down beside them,
 * so that a start asks none of them.
 *
 * @param report - of `components list --json`
 */
export async function componentEntries(report, wanted) {
  const folders = new Set();
  for (const { artefact, origin, path: file } of report.programs) {
    if (origin === 'cache' && (wanted === undefined || wanted.includes(artefact))) folders.add(path.dirname(file));
  }
  const entries = [];
  for (const folder of folders) {
    const at = `${home}/cache/k3s-lite/components/${path.basename(folder)}`;
    entries.push(...(await treeEntries(folder, at)));
    for (const name of await readdir(folder)) {
      if (['kubectl', 'ctr', 'k3s-lite-init'].includes(name))
        entries.push(linkEntry(`usr/local/bin/${name}`, `/${at}/${name}`));
    }
  }
  return { entries, versions: [...folders].map((folder) => path.basename(folder)).sort() };
}

/** A program and the shared libraries it is linked with, where its interpreter looks for them. */
export async function programEntries(file, target) {
  const { stdout } = await promisify(execFile)('ldd', [file]).catch(() => ({ stdout: '' }));
  const libraries = [...stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, library]) => library);
  return [
    await fileEntry(file, target, 0o755),
    ...(await Promise.all(
      libraries.map(async (library) => fileEntry(await realpath(library), library.slice(1), 0o755)),
    )),
  ];
}

/** Folders that every container expects; the engine mounts on some of them. */
export const standardFolders = [
  ...['dev', 'etc', 'proc', 'run', 'sys', 'root', 'var/lib/k3s-lite'].map((at) => folderEntry(at)),
  folderEntry('tmp', 0o1777),
];
