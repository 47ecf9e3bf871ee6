/**
 * A world for one start of a real node: network, mount and process namespaces and cgroups of its
 * own, on a fresh data directory. Its first process is bench/native's `world`, which starts the arm
 * and watches it from outside; everything ends with it.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { atEnd, nativePrograms, Skip } from './place.mjs';

export const nodeIp = '10.99.0.2';
export const nodeName = 'bench';
const cgroup = `k3s-lite-bench-${process.pid}`;
/** For the kubelet: `--cgroup-root`. Beside the world's own, which holds processes. */
export const podCgroup = `/${cgroup}/pods`;

/** What a kubelet sets for the whole machine. Source: kubelet `setupKernelTunables`. */
const machineWide = [
  'vm/overcommit_memory',
  'vm/panic_on_oom',
  'kernel/panic',
  'kernel/panic_on_oops',
  'kernel/keys/root_maxkeys',
  'kernel/keys/root_maxbytes',
].map((name) => `/proc/sys/${name}`);

export function requireWorld() {
  if (process.getuid() !== 0) throw new Skip('a node needs root');
  if (unified() === undefined) throw new Skip('no cgroup2 tree is mounted');
}

/**
 * Runs one arm.
 *
 * @param {object} spec see Spec in bench/native/world.go
 * @returns {Promise<object>} Result of the same file
 * @throws Error if not everything of `WaitFor` was seen in time
 */
export async function runWorld(spec, folder) {
  const { outside } = nativePrograms();
  const file = path.join(folder, 'spec.json');
  const result = path.join(folder, 'result.json');
  rmSync(result, { force: true });
  const settings = new Map(machineWide.filter(existsSync).map((name) => [name, readFileSync(name, 'utf8')]));
  makePodCgroups();
  writeFileSync(
    file,
    JSON.stringify({
      Address: `${nodeIp}/24`,
      Cgroup: path.join(unified(), cgroup, 'world'),
      Mounts: [{ Source: 'tmpfs', Target: '/run' }],
      IntervalUs: 5000,
      TimeoutS: 90,
      Result: result,
      ...spec,
    }),
  );
  const argv = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', outside, 'world', file];
  const child = spawn('unshare', argv, { stdio: ['ignore', 'inherit', 'inherit'] });
  // --kill-child: and all of its process namespace with it.
  const end = atEnd(() => {
    child.kill('SIGKILL');
    removeCgroups();
    for (const [name, value] of settings) if (readFileSync(name, 'utf8') !== value) writeFileSync(name, value);
  });
  try {
    const code = await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (status, signal) => resolve(status ?? signal));
    });
    if (!existsSync(result)) throw new Error(`the world ended with ${code} and no result`);
    const seen = JSON.parse(readFileSync(result, 'utf8'));
    if (seen.Missing.length > 0) {
      const pod = seen.LastPod === undefined ? '' : `; the pod: ${lastWords(seen.LastPod)}`;
      const said = readFileSync(spec.Log, 'utf8')
        .trim()
        .split('\n')
        .slice(-8)
        .map((line) => line.slice(0, 300))
        .join('\n');
      throw new Error(`never seen: ${seen.Missing.join(', ')}${pod}; the arm said last:\n${said}`);
    }
    return seen;
  } finally {
    end();
  }
}

/** Of a pod its status, of a refusal the reason. */
function lastWords(answer) {
  const { status, message } = JSON.parse(answer);
  return JSON.stringify(message ?? status);
}

function mounts() {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const [left, right] = line.split(' - ');
      return { point: left.split(' ')[4], type: right.split(' ')[0] };
    });
}

const unified = () => mounts().find(({ type }) => type === 'cgroup2')?.point;
const hierarchies = () =>
  mounts()
    .filter(({ type }) => type === 'cgroup' || type === 'cgroup2')
    .map(({ point }) => point);

function makePodCgroups() {
  for (const hierarchy of hierarchies()) mkdirSync(path.join(hierarchy, podCgroup), { recursive: true });
}

/** The kernel ends processes in its own time: a cgroup that is still busy is tried again. */
function removeCgroups() {
  for (const hierarchy of hierarchies()) {
    for (let attempt = 0; attempt < 50 && !removeTree(path.join(hierarchy, cgroup)); attempt++) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}

function removeTree(folder) {
  if (!existsSync(folder)) return true;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(path.join(folder, entry.name));
  }
  try {
    rmdirSync(folder);
    return true;
  } catch {
    return false;
  }
}
