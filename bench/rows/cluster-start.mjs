/**
 * The real node: from nothing to node Ready and to a first pod Running, k3s-lite against a shell
 * entrypoint, in turns. "Nothing" has certificates and configuration files (for all arms) and the
 * page cache warm, but no datastore, no container runtime state and no process.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { cli, Skip, withFolder } from '../place.mjs';
import { shellEntrypoint } from '../shell-entrypoint.mjs';
import { interleave, median } from '../statistics.mjs';
import { nodeIp, nodeName, podCgroup, requireWorld, runWorld } from '../world.mjs';
import { row } from './small-graphs.mjs';

/** What every arm finds. */
const prepared = ['server/tls', 'server/cred', 'agent/tls', 'agent/cred', 'agent/etc'];

/** Cluster DNS comes after the first pod with a shell, or as a pod, and no shell applies manifests: compared without them. */
const left = ['coredns', 'cluster-dns', 'cluster-dns-objects', 'manifests'];

/** In the order of their start; those of the node-ready path are looked at in the row of overhead. */
const units = [
  'containerd',
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kube-proxy',
];

export async function clusterStart({ runs, quick, say, binDir }) {
  requireWorld();
  return withFolder(async (folder) => {
    say('a first node, for certificates and command lines');
    const stage = await prepareStage(folder, binDir);
    const arms = {
      'k3s-lite': () => startOurs(stage, { Stop: true, SettleMs: 1000 }),
      'shell, 1 s': () => startShell(stage, { sleep: '1', isTuned: false }),
      'shell, 20 ms': () => startShell(stage, { sleep: '0.02', isTuned: false }),
      ...(quick
        ? {}
        : {
            'shell, 1 s, our flags': () => startShell(stage, { sleep: '1', isTuned: true }),
            'shell, 20 ms, our flags': () => startShell(stage, { sleep: '0.02', isTuned: true }),
          }),
    };
    const results = await interleave(arms, runs, (round) => say(`real node, round ${round + 1} of ${runs}`));
    return tableOf(results);
  });
}

function tableOf(results) {
  const times = (arm, what) => results[arm].map(({ At }) => At[what]).filter((at) => at !== undefined);
  const others = (what) =>
    Object.fromEntries(
      Object.keys(results)
        .filter((arm) => arm !== 'k3s-lite')
        .map((arm) => [arm, median(times(arm, what))]),
    );
  const ours = (what) => times('k3s-lite', what);
  const ratio = (subject, arm, what, goal) => {
    const base = median(times(arm, what));
    return row(
      subject,
      `speed-up over ${arm}`,
      ours(what).map((each) => base / each),
      '×',
      goal,
    );
  };
  return [
    ...units.map((unit) => row('real node', `nothing → ${unit} ready`, ours(unit), 'ms', undefined, others(unit))),
    row('real node', 'nothing → node Ready', ours('node'), 'ms', undefined, others('node')),
    row('real node', 'nothing → first pod Running', ours('pod'), 'ms', undefined, others('pod')),
    ratio('node Ready', 'shell, 1 s', 'node', 1.4),
    ratio('node Ready', 'shell, 20 ms', 'node', 1.25),
    ratio('first pod Running', 'shell, 1 s', 'pod', 2),
    ratio('first pod Running', 'shell, 20 ms', 'pod', 2),
    row(
      'real node',
      'stop, with one pod',
      results['k3s-lite'].map(({ StopMs }) => StopMs),
      'ms',
    ),
  ];
}

/** Brings a node up once with k3s-lite: what it leaves in its folders and how its processes were called is what all arms start from. */
export async function prepareStage(folder, binDir) {
  const stage = {
    folder,
    binDir: linkPrograms(path.join(folder, 'bin'), binDir),
    dataDir: path.join(folder, 'data'),
    template: path.join(folder, 'template'),
    pauseArchive: path.join(folder, 'pause.tar'),
  };
  mkdirSync(stage.dataDir);
  const result = await startOurs(stage, { Capture: true, isFirst: true, waitFor: [...units, 'node'] });
  stage.processes = result.Processes;
  const containerd = stage.processes.find(({ Argv }) => Argv[0].endsWith('containerd'));
  stage.path = containerd.Env.find((entry) => entry.startsWith('PATH='));
  for (const name of prepared) {
    if (existsSync(path.join(stage.dataDir, name))) {
      cpSync(path.join(stage.dataDir, name), path.join(stage.template, name), {
        recursive: true,
        preserveTimestamps: true,
      });
    }
  }
  return stage;
}

/** All programs in one folder, wherever this machine has them. */
function linkPrograms(folder, binDir) {
  const argv = [cli, 'components', 'list', '--json', ...(binDir === undefined ? [] : ['--bin-dir', binDir])];
  const { programs } = JSON.parse(execFileSync(process.execPath, argv, { encoding: 'utf8' }));
  mkdirSync(folder);
  for (const { program, path: file, artefact } of programs) {
    if (artefact === undefined) continue; // the distribution's own are on PATH
    if (file === undefined) throw new Skip(`${program} is missing: k3s-lite components build`);
    symlinkSync(file, path.join(folder, program));
  }
  return folder;
}

/**
 * @param {object} spec beside Spec: `waitFor`, `isFirst` for the run that has no template yet, `before` for words
 *   before the command, `view` for its flag of output
 */
export async function startOurs(stage, { isFirst, waitFor, withPod = true, before = [], view = ['--json'], ...spec }) {
  if (!isFirst) freshData(stage);
  const disable = left.flatMap((name) => ['--disable', name]);
  return runWorld(
    {
      ...watching(stage, waitFor, withPod),
      Command: [
        ...before,
        process.execPath,
        cli,
        'up',
        ...view,
        '--data-dir',
        stage.dataDir,
        '--node-ip',
        nodeIp,
        '--node-name',
        nodeName,
        '--cgroup-root',
        podCgroup,
        '--bin-dir',
        stage.binDir,
        ...disable,
      ],
      Env: environment(stage, `PATH=${process.env.PATH}`),
      Marks: [{ Name: 'declared', Contains: '"up.ready"' }],
      Own: 'node',
      ...(isFirst ? { After: exportPause(stage) } : {}),
      ...spec,
    },
    stage.folder,
  );
}

export async function startShell(stage, { sleep, isTuned, waitFor, before = [], ...spec }) {
  freshData(stage);
  const script = path.join(stage.folder, 'entrypoint.sh');
  const { processes, dataDir, pauseArchive } = stage;
  writeFileSync(script, shellEntrypoint({ processes, dataDir, socket: socketOf(stage), pauseArchive, sleep, isTuned }));
  return runWorld(
    {
      ...watching(stage, waitFor),
      Command: [...before, 'sh', script],
      Env: environment(stage, stage.path),
      ...spec,
    },
    stage.folder,
  );
}

function freshData({ dataDir, template }) {
  rmSync(dataDir, { recursive: true, force: true });
  cpSync(template, dataDir, { recursive: true, preserveTimestamps: true });
}

/** A cache of its own: what k3s-lite remembers of these folders must not stay. */
const environment = ({ folder }, searchPath) => [searchPath, `HOME=${folder}`, `XDG_CACHE_HOME=${folder}/cache`];

/** The run folder's name depends on the data directory alone, so the socket is the same in every run. */
function socketOf({ template }) {
  const config = readFileSync(path.join(template, 'agent/etc/containerd.toml'), 'utf8');
  return /^\s*address = "(.*)"$/m.exec(config)[1];
}

function exportPause({ pauseArchive, binDir }) {
  const images = `${binDir}/ctr --address /run/k3s-lite/*/containerd/containerd.sock --namespace k8s.io images`;
  return ['sh', '-c', `${images} export --local ${pauseArchive} $(${images} list -q | grep /pause:)`];
}

function watching({ dataDir, folder }, waitFor = [...units, 'node', 'pod'], withPod = true) {
  const tls = `${dataDir}/server/tls`;
  const admin = { Ca: `${tls}/server-ca.crt`, Cert: `${tls}/client-admin.crt`, Key: `${tls}/client-admin.key` };
  const local = (Name, port, path_) => ({ Name, Kind: 'http', Url: `http://127.0.0.1:${port}${path_}` });
  const secure = (Name, port, path_) => ({ Name, Kind: 'https', Url: `https://127.0.0.1:${port}${path_}`, ...admin });
  return {
    // As often as the quicker of the shells asks: every 5 ms the observer, with the answers of kube-apiserver, took
    // half a core, which who waits for a poll has to spare and who starts everything at once has not.
    IntervalUs: 20_000,
    Log: path.join(folder, 'output.log'),
    WaitFor: waitFor,
    Checks: [
      local('etcd', 2381, '/readyz'),
      secure('kube-apiserver', 6443, '/readyz'),
      secure('kube-controller-manager', 10257, '/healthz'),
      secure('kube-scheduler', 10259, '/healthz'),
      local('kubelet', 10248, '/healthz'),
      local('kube-proxy', 10256, '/healthz'),
      { Name: 'containerd', Kind: 'cri', Url: '/run/k3s-lite/*/containerd/containerd.sock' },
    ],
    Node: { Url: 'https://127.0.0.1:6443', ...admin, Node: nodeName, Pod: withPod ? firstPod : null },
  };
}

const firstPod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'first' },
  spec: {
    terminationGracePeriodSeconds: 1,
    containers: [{ name: 'pause', image: 'k3s-lite.local/pause:1', imagePullPolicy: 'Never' }],
  },
};
