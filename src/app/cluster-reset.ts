/**
 * `up --cluster-reset`: makes the etcd of this machine a cluster of one and ends. It is not done twice
 * by accident (a flag file, taken away by the next start without it), and not while others of the
 * cluster live, unless that is asked for.
 */
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { readKnownMembers, rememberMembers } from '../cluster/etcd/known-members.ts';
import { resetMember } from '../cluster/etcd/reset-member.ts';
import { findPeers, ownResetText, peerResetText, type ResetPlan } from '../cluster/etcd/reset-plan.ts';
import { ensureCertificates } from '../cluster/certificates.ts';
import { layoutOf } from '../cluster/layout.ts';
import { readIfThere, writeAtomically } from '../kernel/stored-file.ts';
import { exitCode } from '../error/codes.ts';
import { StartupError } from '../error/startup-error.ts';
import { createEventStream } from '../event/stream.ts';
import { systemClock } from '../kernel/clock.ts';
import type { Configuration } from './configuration.ts';
import { claimDataDirectory } from './data-directory.ts';
import { etcdClientOf, ownEndpoint } from './etcd-of.ts';
import { etcdUnitOf, programOf, restoreInto, snapshotFile } from './etcd-snapshots.ts';
import { unitEnv } from './flags.ts';
import { prepare, textOf, type Prepared } from './prepare.ts';

export interface ClusterResetOptions {
  readonly configuration: Configuration;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly out: (text: string) => void;
  readonly signal: AbortSignal;
}

/** How long a peer may take to answer. */
const peerMs = 2000;

/**
 * @returns the exit code
 * @throws StartupError ERR_CLUSTER_RESET when it is refused, ERR_SNAPSHOT, ERR_LOCKED
 */
export async function clusterReset(options: ClusterResetOptions): Promise<number> {
  const { configuration, env, cwd, out, signal } = options;
  const { paths, values } = configuration;
  const prepared = await prepare({ configuration, units: [], env, cwd, needsPrograms: false });
  const layout = layoutOf(prepared.settings);
  const restorePath = textOf(values, 'cluster-reset-restore-path');
  const { etcdSnapshotDir } = prepared.settings;
  const plan = await planOf(prepared, {
    restoreFrom: restorePath === undefined ? undefined : await snapshotFile(etcdSnapshotDir, restorePath, cwd),
    signal,
  });
  if (values['dry-run'] === true) {
    out(
      `nothing is done; --cluster-reset without --dry-run would do this:\n${[...ownResetText(plan), ...peerResetText(plan)].join('\n')}\n`,
    );
    return exitCode.ok;
  }
  await requireFirst(layout.resetFlag);
  if (values['cluster-reset-force'] !== true) requireAlone(plan);
  if (plan.restoreFrom === undefined && !existsSync(path.join(layout.etcdData, 'member'))) {
    throw refused(`etcd has no data in ${layout.etcdData}`, 'name a snapshot with --cluster-reset-restore-path');
  }
  const events = createEventStream({ clock: systemClock });
  using _claim = await claimDataDirectory({ paths, graph: prepared.graph, wanted: [], clock: systemClock, events });
  await ensureCertificates(prepared.settings, systemClock);
  const kept = await reset(prepared, plan, options);
  // What it knew of the others is of another cluster now.
  await rm(layout.knownServers, { force: true });
  await mkdir(path.dirname(layout.resetFlag), { recursive: true, mode: 0o700 });
  await writeAtomically(layout.resetFlag, `${new Date(systemClock.wallMs()).toISOString()}\n`, 0o600);
  out(`the cluster of ${plan.memberName} has one member now: start k3s-lite again without --cluster-reset\n`);
  if (kept !== undefined) out(`what etcd had before is in ${kept}; remove it when all is well\n`);
  if (plan.peers.length > 0) out(`${peerResetText(plan).join('\n')}\n`);
  return exitCode.ok;
}

async function planOf(
  prepared: Prepared,
  { restoreFrom, signal }: { readonly restoreFrom: string | undefined; readonly signal: AbortSignal },
): Promise<ResetPlan> {
  const { settings } = prepared;
  const { etcdData, etcdMembers } = layoutOf(settings);
  const own = etcdUnitOf(prepared);
  const client = etcdClientOf(settings, [], peerMs);
  const { members } = await readKnownMembers(etcdMembers);
  const peers = await findPeers(members, own, client, signal);
  const joinUrl = `https://${settings.nodeIp}:${String(settings.joinPort)}`;
  return { memberName: own.memberName, etcdData, restoreFrom, peers, joinUrl };
}

/** @returns where the data are that were there before */
async function reset(prepared: Prepared, plan: ResetPlan, options: ClusterResetOptions): Promise<string | undefined> {
  const { settings, graph, searchPath } = prepared;
  const { etcdData, etcdMembers } = layoutOf(settings);
  const { env, signal } = options;
  if (plan.restoreFrom !== undefined) {
    const { kept } = await restoreInto(prepared, plan.restoreFrom, signal);
    await rm(etcdMembers, { force: true });
    return kept;
  }
  const endpoint = ownEndpoint(settings);
  const { member, kept } = await resetMember({
    ...{ program: programOf(prepared, 'etcd'), flags: flagsOf(graph.unit('etcd').flags), etcdData, endpoint },
    ...{ client: etcdClientOf(settings, [endpoint]), peerUrl: etcdUnitOf(prepared).peerUrl },
    ...{ env: { ...unitEnv(env), PATH: searchPath.join(':') }, clock: systemClock, signal },
  });
  await rememberMembers(etcdMembers, [member]);
  return kept;
}

const flagsOf = (flags: Readonly<Record<string, string | null>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(flags).filter((flag): flag is [string, string] => flag[1] !== null));

async function requireFirst(resetFlag: string): Promise<void> {
  const at = (await readIfThere(resetFlag))?.trim();
  if (at === undefined) return;
  throw refused(
    `it was reset at ${at}, and has not been started since`,
    `start k3s-lite without --cluster-reset; to reset it once more, remove ${resetFlag}`,
  );
}

function requireAlone({ peers }: ResetPlan): void {
  const alive = peers.filter(({ state }) => state !== 'silent');
  if (alive.length === 0) return;
  const told = alive.map((peer) => `${peer.name} ${peer.told}`).join('; ');
  const hint = alive.some(({ state }) => state === 'leads')
    ? 'the cluster lives: stop k3s-lite on all its other servers, or let this one join it anew; --cluster-reset-force resets all the same'
    : 'stop k3s-lite there, or start enough of them to have a leader again; --cluster-reset-force resets all the same';
  throw refused(told, hint);
}

function refused(reason: string, hint: string): StartupError {
  return new StartupError('ERR_CLUSTER_RESET', `the cluster is not reset: ${reason}`, { reason, hint });
}
