/**
 * What the figures of an etcd mean for its cluster: a fold over looks, one every few seconds, to what a
 * person has to know before an election is lost. Pure.
 *
 * Each finding begins and ends on its own and keeps the words that it began with, so that a warning
 * is told once and not again with each other figure.
 */
import { formatBytes } from '../../kernel/bytes.ts';
import { formatDurationMs } from '../../kernel/duration.ts';
import { p99Between, type EtcdScrape } from './etcd-metrics.ts';

export interface EtcdLook {
  readonly atMs: number;
  readonly scrape: EtcdScrape;
  /** How many entries each other member, by its name, is behind the leader. Absent: not asked this time. */
  readonly lags?: readonly { readonly name: string; readonly entries: number }[];
}

export const thresholds = {
  /** Above, the disk is too slow for etcd. Source: etcd FAQ, "What does the etcd warning … mean": p99 under 10 ms. */
  fsyncSlowMs: 10,
  /** Source: as before, p99 under 25 ms. */
  commitSlowMs: 25,
  /** Source: etcd's own alerts (contrib/mixin), etcdHighFsyncDurations. */
  fsyncBadMs: 500,
  /** Source: as before, etcdHighCommitDurations. */
  commitBadMs: 250,
  /** In 15 minutes. Source: as before, etcdHighNumberOfLeaderChanges. */
  leaderChanges: 4,
  /** Share of the quota, beyond which etcd takes no writes. Source: as before, etcdDatabaseQuotaLowSpace says 95 %; here with time left to act. */
  dbShare: 0.8,
  /** A follower that is more behind needs a whole snapshot. Source: etcd `--snapshot-catchup-entries`. */
  lagEntries: 5000,
} as const;

/** Over how long a p99 is taken: one fsync that was slow is no trend, and a minute is too late. */
const windowMs = 10_000;
/** Fewer say nothing about a hundredth. */
const minSamples = 5;
/** So many looks in a row make a slow disk: looks of a busy moment do not. A bad one counts at once. */
const slowLooks = 3;
/** So many looks without it end a finding. */
const endLooks = 5;
const leaderWindowMs = 15 * 60_000;

const findingNames = ['no-leader', 'stalled', 'fsync', 'commit', 'leader-changes', 'lag', 'db-size'] as const;
export type FindingName = (typeof findingNames)[number];

interface Finding {
  /** Looks in a row in which it was so, and, once it stands, in which it was not. */
  readonly seen: number;
  readonly unseen: number;
  /** Once it stands; the worse of two grades replaces the other. */
  readonly told?: { readonly text: string; readonly isBad: boolean };
}

export interface EtcdHealth {
  /** As many as the window holds, oldest first. */
  readonly looks: readonly EtcdLook[];
  readonly changes: readonly { readonly atMs: number; readonly count: number }[];
  readonly lags: readonly { readonly name: string; readonly entries: number }[];
  readonly findings: Readonly<Partial<Record<FindingName, Finding>>>;
  readonly figures: Readonly<Record<string, number>>;
}

export const unknownHealth: EtcdHealth = { looks: [], changes: [], lags: [], findings: {}, figures: {} };

interface Verdict {
  readonly text: string;
  /** Bad: stands at once. Otherwise only when it lasts. */
  readonly isBad: boolean;
}

export function foldLook(health: EtcdHealth, look: EtcdLook): EtcdHealth {
  const { scrape, atMs } = look;
  const last = health.looks.at(-1);
  // The newest of those that are too old is where the window begins.
  const begin = health.looks.findLastIndex((each) => atMs - each.atMs >= windowMs);
  const looks = [...health.looks.slice(Math.max(begin, 0)), look];
  const first = looks[0] ?? look;
  const fsync = p99Between(first.scrape.fsync, scrape.fsync);
  const commit = p99Between(first.scrape.commit, scrape.commit);
  const more = last === undefined ? 0 : Math.max(0, scrape.leaderChanges - last.scrape.leaderChanges);
  const changes = [
    ...health.changes.filter((change) => atMs - change.atMs < leaderWindowMs),
    ...(more === 0 ? [] : [{ atMs, count: more }]),
  ];
  const leaderChanges = changes.reduce((sum, { count }) => sum + count, 0);
  const lags = look.lags ?? health.lags;
  const isStalled = last !== undefined && isWaiting(last, look);
  const verdicts: Partial<Record<FindingName, Verdict>> = {
    ...(scrape.hasLeader ? {} : { 'no-leader': bad('etcd has no leader: nothing can be written') }),
    ...(isStalled ? { stalled: bad('the disk of etcd stands: a write has waited for it since the look before') } : {}),
    ...slow('fsync', fsync, 'writes its log', thresholds.fsyncSlowMs, thresholds.fsyncBadMs),
    ...slow('commit', commit, 'commits', thresholds.commitSlowMs, thresholds.commitBadMs),
    ...(leaderChanges < thresholds.leaderChanges
      ? {}
      : { 'leader-changes': bad(`etcd changed its leader ${String(leaderChanges)} times in 15 minutes`) }),
    ...lagVerdict(lags),
    ...sizeVerdict(scrape),
  };
  const findings: EtcdHealth['findings'] = Object.fromEntries(
    findingNames.flatMap((name) => {
      const next = step(health.findings[name], verdicts[name]);
      return next === undefined ? [] : [[name, next]];
    }),
  );
  return {
    ...{ looks, changes, lags, findings },
    figures: {
      ...(fsync.seconds === undefined ? {} : { wal_fsync_p99_seconds: fsync.seconds }),
      ...(commit.seconds === undefined ? {} : { backend_commit_p99_seconds: commit.seconds }),
      has_leader: Number(scrape.hasLeader),
      leader_changes_15m: leaderChanges,
      proposals_pending: scrape.proposalsPending,
      db_size_bytes: scrape.dbSizeBytes,
      db_quota_bytes: scrape.dbQuotaBytes,
      member_lag_entries_max: Math.max(0, ...lags.map(({ entries }) => entries)),
      warnings: findingNames.filter((name) => findings[name]?.told !== undefined).length,
    },
  };
}

/** Everything that stands, worst first; empty when all is well. */
export function warningOf({ findings }: EtcdHealth): string {
  const told = findingNames.flatMap((name) => findings[name]?.told ?? []);
  return told
    .toSorted((a, b) => Number(b.isBad) - Number(a.isBad))
    .map(({ text }) => text)
    .join('; ');
}

/** For `status`, in one line. */
export function healthText(health: EtcdHealth): string {
  const { wal_fsync_p99_seconds: fsync, backend_commit_p99_seconds: commit, ...rest } = health.figures;
  const ms = (seconds: number | undefined) => (seconds === undefined ? '-' : formatDurationMs(seconds * 1000));
  const warning = warningOf(health);
  return [
    ...(warning === '' ? [] : [`warning: ${warning}`]),
    `fsync p99 ${ms(fsync)}, commit p99 ${ms(commit)}`,
    `${String(rest['leader_changes_15m'] ?? 0)} leader changes`,
    `lag ${String(rest['member_lag_entries_max'] ?? 0)}`,
    `db ${formatBytes(rest['db_size_bytes'] ?? 0)}`,
  ].join(', ');
}

const bad = (text: string): Verdict => ({ text, isBad: true });

/** Something is proposed, was so the last time too, and no fsync and no commit has ended between. */
function isWaiting(before: EtcdLook, after: EtcdLook): boolean {
  if (before.scrape.proposalsPending === 0 || after.scrape.proposalsPending === 0) return false;
  const { samples: fsyncs } = p99Between(before.scrape.fsync, after.scrape.fsync);
  const { samples: commits } = p99Between(before.scrape.commit, after.scrape.commit);
  return fsyncs === 0 && commits === 0;
}

function slow(
  name: 'fsync' | 'commit',
  { seconds, samples }: ReturnType<typeof p99Between>,
  does: string,
  slowMs: number,
  badMs: number,
): Partial<Record<FindingName, Verdict>> {
  const p99Ms = (seconds ?? 0) * 1000;
  const isBad = p99Ms >= badMs;
  // So slow that few end is bad enough with few.
  if (p99Ms < slowMs || (samples < minSamples && !isBad)) return {};
  const limit = formatDurationMs(isBad ? badMs : slowMs);
  const risk = isBad ? ', so it may lose its leader' : '';
  return {
    [name]: { text: `etcd ${does} slowly (p99 ${formatDurationMs(p99Ms)}, more than ${limit})${risk}`, isBad },
  };
}

function lagVerdict(lags: EtcdHealth['lags']): Partial<Record<FindingName, Verdict>> {
  const behind = lags.filter(({ entries }) => entries >= thresholds.lagEntries);
  if (behind.length === 0) return {};
  const told = behind.map(({ name, entries }) => `${name} is ${String(entries)} entries behind`).join(', ');
  return { lag: { text: `members of etcd lag: ${told}`, isBad: false } };
}

function sizeVerdict({ dbSizeBytes, dbQuotaBytes }: EtcdScrape): Partial<Record<FindingName, Verdict>> {
  if (dbQuotaBytes === 0 || dbSizeBytes < dbQuotaBytes * thresholds.dbShare) return {};
  const text = `etcd has ${formatBytes(dbSizeBytes)} of ${formatBytes(dbQuotaBytes)}, and takes no writes beyond`;
  return { 'db-size': bad(text) };
}

function step(finding: Finding | undefined, verdict: Verdict | undefined): Finding | undefined {
  if (verdict === undefined) {
    if (finding?.told === undefined) return undefined;
    const unseen = finding.unseen + 1;
    return unseen >= endLooks ? undefined : { ...finding, unseen };
  }
  const seen = (finding?.seen ?? 0) + 1;
  const told = finding?.told;
  const isNew = told === undefined && (verdict.isBad || seen >= slowLooks);
  const isWorse = told !== undefined && verdict.isBad && !told.isBad;
  const next = isNew || isWorse ? verdict : told;
  return { seen, unseen: 0, ...(next === undefined ? {} : { told: next }) };
}
