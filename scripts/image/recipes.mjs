/** The two images: the whole node, and the smallest that runs units of one's own. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { baseLayer } from './base.mjs';
import { cached, treeKey } from './cache.mjs';
import { componentEntries, nodeEntries, ownEntries, programEntries, standardFolders } from './contents.mjs';
import { writeLayer } from './layer.mjs';
import { fileEntry, linkEntry, treeEntries } from './tree.mjs';

const dataDir = '/var/lib/k3s-lite';
const search = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
// SIGRTMIN+3, which init systems of containers stop at, does the same: k3s-lite-init maps it.
const stopSignal = 'SIGTERM';

/** As `packaging/image/Dockerfile` says it; a test compares them. */
export const nodeConfig = {
  Entrypoint: ['k3s-lite-init', '--', 'k3s-lite', 'up'],
  Env: [
    search,
    'HOME=/root',
    'XDG_CACHE_HOME=/opt/k3s-lite/cache',
    'K3S_LITE_CONTAINER=on',
    `KUBECONFIG=${dataDir}/k3s-lite.yaml`,
  ],
  ExposedPorts: { '6443/tcp': {} },
  Volumes: { [dataDir]: {} },
  StopSignal: stopSignal,
};

/** As `examples/entrypoint/Dockerfile` says it; a test compares them. */
export const minimalConfig = {
  Entrypoint: ['k3s-lite-init', '--', 'k3s-lite', 'up', '--units', '/app/units', '--exit-with', 'web'],
  Env: [search, 'HOME=/root', 'K3S_LITE_DATA_DIR=/run/k3s-lite-data'],
  ExposedPorts: { '8080/tcp': {} },
  StopSignal: stopSignal,
};

/** A layer of entries, made when its content has changed. */
async function layer(about, entries, say, versions) {
  const name = `layers/${about.replace(/\W+/g, '-').toLowerCase()}-${await treeKey(entries, versions)}.tar`;
  const made = await cached(
    name,
    (file) => writeLayer(file, entries),
    () => say(`layer: ${about}`),
  );
  return { ...made, about };
}

const requireBuilt = (report, names) => {
  const missing = report.programs.filter(({ artefact, origin }) => names.includes(artefact) && origin !== 'cache');
  if (missing.length > 0) throw new Error(`not built: ${missing.map(({ program }) => program).join(', ')}`);
};

export async function nodeImage({ root, report, say }) {
  requireBuilt(report, ['kubernetes', 'containerd', 'cni-plugins', 'coredns', 'pause', 'init']);
  const { entries, versions } = await componentEntries(report);
  const layers = [
    { ...(await baseLayer(say)), about: 'Debian' },
    await layer('Node.js', await nodeEntries(), say, process.version),
    await layer('components', entries, say, versions.join(' ')),
    await layer('k3s-lite', await ownEntries(root, { withComponents: true }), say),
  ];
  return { name: 'k3s-lite.local/node:latest', layers, config: nodeConfig };
}

export async function minimalImage({ root, report, say }) {
  requireBuilt(report, ['init']);
  const { entries: init, versions } = await componentEntries(report, ['init']);
  const node = await programEntries(process.execPath, 'usr/local/bin/node');
  const layers = [
    await layer('Node.js and its libraries', [...standardFolders, ...node], say, process.version),
    await layer('k3s-lite', [...(await ownEntries(root, { withComponents: false })), ...init], say, versions.join(' ')),
    await layer('the application', await applicationEntries(root), say),
  ];
  return { name: 'k3s-lite.local/minimal:latest', layers, config: minimalConfig };
}

/** examples/entrypoint, with the one program that it does not bring itself. */
async function applicationEntries(root) {
  const folder = path.join(root, 'examples/entrypoint');
  const isPart = (file) => !/(?:Dockerfile|README\.md|entrypoint\.sh)$/.test(file);
  return [
    ...(await treeEntries(folder, 'app', isPart)),
    await fileEntry(staticBusybox(), 'app/bin/busybox', 0o755),
    linkEntry('usr/bin/env', '/app/bin/busybox'),
  ];
}

function staticBusybox() {
  const file = ['/bin/busybox', '/usr/bin/busybox'].find((each) => existsSync(each));
  if (file === undefined) throw new Error('there is no busybox: install busybox-static');
  return file;
}
