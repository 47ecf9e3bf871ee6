/**
 * What a node leaves behind and how it is taken away: the undo builtins of kubelet, cni and
 * containerd. Each is idempotent and touches only what lies under our own folders, sockets and names.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readlink, rm, rmdir, unlink } from 'node:fs/promises';
import path from 'node:path';
import type { Builtin, BuiltinContext } from '../unit/builtin.ts';
import { criClient } from './cri-client.ts';
import { removeDeadSockets } from './dead-sockets.ts';
import { layoutOf } from './layout.ts';
import { isUnder, readMounts } from './mountinfo.ts';
import { deleteTable, removeEmptyTables, tablesFile } from './nft-tables.ts';
import { removeMasquerade } from './pod-routes/masquerade.ts';
import type { Settings } from './settings.ts';
import { messageOf } from '../kernel/message-of.ts';

/** Unmounts everything under `folder`, last mounted first. */
async function unmountUnder({ run, log }: BuiltinContext, folder: string): Promise<void> {
  const points = readMounts()
    .filter(({ point }) => isUnder(folder, point))
    .map(({ point }) => point)
    .reverse();
  if (points.length === 0) return;
  const { output } = await run(['umount', ...points]);
  const left = readMounts().filter(({ point }) => isUnder(folder, point));
  if (left.length > 0) throw new Error(`cannot unmount ${left.map(({ point }) => point).join(', ')}: ${output.trim()}`);
  log(`unmounted ${String(points.length)} below ${folder}`);
}

/** Undo of kubelet: its pods, their volumes, their cgroups. containerd still runs. */
function removePods(settings: Settings): Builtin {
  const { containerdSocket, kubeletRoot } = layoutOf(settings);
  return async (context) => {
    const { signal, log } = context;
    const failures: string[] = [];
    // What follows is done even when containerd does not answer: its own undo ends what is left.
    const attempt = async (what: string, work: () => Promise<void>) => {
      try {
        await work();
      } catch (error) {
        signal.throwIfAborted();
        failures.push(`${what}: ${messageOf(error)}`);
      }
    };
    const cri = criClient(containerdSocket);
    await attempt('pod sandboxes', async () => {
      const sandboxes = await cri.listSandboxes(signal);
      await Promise.all(
        sandboxes.map((id) =>
          attempt(`sandbox ${id.slice(0, 12)}`, async () => {
            await cri.stopSandbox(id, signal);
            await cri.removeSandbox(id, signal);
          }),
        ),
      );
      if (sandboxes.length > 0) log(`stopped and removed ${String(sandboxes.length)} pod sandboxes`);
    });
    await unmountUnder(context, kubeletRoot);
    await removeContainerLogLinks(`${settings.dataDir}/agent/pod-logs`);
    await attempt('cgroups', () => removeCgroups(path.join(settings.cgroupRoot, 'kubepods')));
    if (failures.length > 0) throw new Error(failures.join('; '));
  };
}

/** kubelet keeps links to its logs in this folder, whatever its own folders are. Source: kubelet `legacyContainerLogsDir`. */
const containerLogs = '/var/log/containers';

async function removeContainerLogLinks(podLogs: string): Promise<void> {
  for (const name of await readdir(containerLogs).catch((): string[] => [])) {
    const link = path.join(containerLogs, name);
    const target = await readlink(link).catch(() => '');
    if (isUnder(podLogs, target)) await unlink(link);
  }
}

/** Removes a cgroup and its children in every hierarchy. */
async function removeCgroups(cgroup: string): Promise<void> {
  const roots = readMounts().filter(({ type }) => type === 'cgroup' || type === 'cgroup2');
  for (const { point } of roots) await removeTree(path.join(point, cgroup));
}

/** Files of a cgroup cannot be removed, only the folders, from the leaves up. */
async function removeTree(folder: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => undefined);
  if (entries === undefined) return;
  for (const entry of entries) if (entry.isDirectory()) await removeTree(path.join(folder, entry.name));
  await rmdir(folder);
}

/** Makes `cgroupRoot` in every hierarchy: kubelet refuses a root that is not there. */
export async function ensureCgroupRoot(settings: Settings): Promise<void> {
  if (settings.cgroupRoot === '/') return;
  const roots = readMounts().filter(({ type }) => type === 'cgroup' || type === 'cgroup2');
  for (const { point } of roots) await mkdir(path.join(point, settings.cgroupRoot), { recursive: true });
}

/** Undo of kube-proxy: the tables of nftables mode in one step, the chains of iptables mode by its own clean-up. */
function removeProxyRules(settings: Settings): Builtin {
  return async ({ run, log }) => {
    for (const family of ['ip', 'ip6']) {
      if (await deleteTable(run, { family, name: 'kube-proxy' })) log(`removed nftables table ${family} kube-proxy`);
    }
    // Its clean-up calls iptables, which leaves empty tables behind: only when there is something to clean.
    if (settings.proxyMode === 'nftables') return;
    const config = `${layoutOf(settings).agentEtc}/kube-proxy.json`;
    const { exit, output } = await run(['kube-proxy', `--config=${config}`, '--cleanup']);
    if (exit.kind !== 'code' || exit.code !== 0) throw new Error(`kube-proxy --cleanup: ${lastLine(output)}`);
    // It spares this chain, which it shares with a kubelet that makes iptables chains; ours makes none.
    for (const program of ['iptables', 'ip6tables']) {
      for (const command of ['-D INPUT -j', '-D OUTPUT -j', '-F', '-X']) {
        await run([program, '-w', ...command.split(' '), 'KUBE-FIREWALL']);
      }
    }
  };
}

const lastLine = (output: string): string => output.trimEnd().split('\n').at(-1) ?? '';

/** Undo of cni: the bridge, the addresses that were given out, what the plugins keep beside. */
function removeLinks(settings: Settings): Builtin {
  return async (context) => {
    const { run, log } = context;
    if (hasLink('cni0')) {
      const { exit, output } = await run(['ip', 'link', 'delete', 'cni0']);
      if (exit.kind !== 'code' || exit.code !== 0) throw new Error(`cannot delete cni0: ${lastLine(output)}`);
      log('removed cni0');
    }
    if (await removeMasquerade(run)) log('removed the rule by which pods reach the world');
    await removeEmptyTables(run, tablesFile(settings));
    await rm(layoutOf(settings).cniState, { recursive: true, force: true });
    // libcni's cache of results; shared, so only when empty.
    await removeIfEmpty('/var/lib/cni/results', '/var/lib/cni');
  };
}

async function removeIfEmpty(...folders: readonly string[]): Promise<void> {
  for (const folder of folders) await rmdir(folder).catch(() => undefined);
}

/** Read here and not below /sys: sysfs shows the network namespace it was mounted in. */
function hasLink(name: string): boolean {
  return readFileSync('/proc/net/dev', 'utf8')
    .split('\n')
    .some((line) => line.trimStart().startsWith(`${name}:`));
}

/** Undo of containerd: shims that outlived their pods, mounts and files of its state. */
function removeContainerdState(settings: Settings): Builtin {
  const { containerdState, containerdSocket } = layoutOf(settings);
  return async (context) => {
    const shims = shimsOf(containerdSocket);
    for (const pid of shims) process.kill(pid, 'SIGKILL');
    if (shims.length > 0) context.log(`killed ${String(shims.length)} shims that were left`);
    await unmountUnder(context, containerdState);
    await rm(containerdState, { recursive: true, force: true });
    await rm(path.join(settings.runDir, 'runc'), { recursive: true, force: true });
    if (settings.cgroupRoot !== '/') await removeCgroups(settings.cgroupRoot);
    // Of shims that were killed. Their names are hashes: whose they were is not known.
    await removeDeadSockets(shimSockets, Date.now());
    // Only when empty, because another containerd may use it.
    await removeIfEmpty(shimSockets, '/run/containerd');
  };
}

/** Shims' sockets lie here whatever the state folder is. Source: containerd pkg/shim `socketRoot`. */
const shimSockets = '/run/containerd/s';

function shimsOf(socket: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        const isOurs = argv[0]?.endsWith('containerd-shim-runc-v2') === true && argv.includes(socket);
        return isOurs ? [Number(pid)] : [];
      } catch {
        return []; // it ended meanwhile
      }
    });
}

export function cleanupBuiltins(
  settings: Settings,
): Record<'remove-pods' | 'remove-proxy-rules' | 'remove-links' | 'remove-containerd-state', Builtin> {
  return {
    'remove-pods': removePods(settings),
    'remove-proxy-rules': removeProxyRules(settings),
    'remove-links': removeLinks(settings),
    'remove-containerd-state': removeContainerdState(settings),
  };
}
