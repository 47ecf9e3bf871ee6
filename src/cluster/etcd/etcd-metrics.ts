/** The figures of etcd's /metrics that say how its disk and its leader are. Pure. Source: etcd "Metrics", "Monitoring etcd". */

/** A cumulative histogram: how many took at most so many seconds, by ascending bound, the last one infinite. */
export type Histogram = readonly { readonly boundSeconds: number; readonly count: number }[];

export interface EtcdScrape {
  readonly fsync: Histogram;
  readonly commit: Histogram;
  readonly hasLeader: boolean;
  readonly leaderChanges: number;
  readonly proposalsPending: number;
  readonly dbSizeBytes: number;
  readonly dbQuotaBytes: number;
}

/** Undefined when it is not what etcd answers. */
export function readScrape(text: string): EtcdScrape | undefined {
  const gauges = new Map<string, number>();
  const histograms = new Map<string, { boundSeconds: number; count: number }[]>();
  for (const line of text.split('\n')) {
    const [, name = '', bound, value = ''] = /^([a-z_]+)(?:\{le="([^"]+)"\})? (\S+)$/.exec(line) ?? [];
    if (bound === undefined) gauges.set(name, Number(value));
    else {
      const entries = histograms.get(name) ?? [];
      histograms.set(name, entries);
      entries.push({ boundSeconds: bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound), count: Number(value) });
    }
  }
  const fsync = histograms.get('etcd_disk_wal_fsync_duration_seconds_bucket');
  const commit = histograms.get('etcd_disk_backend_commit_duration_seconds_bucket');
  const hasLeader = gauges.get('etcd_server_has_leader');
  if (fsync === undefined || commit === undefined || hasLeader === undefined) return undefined;
  const gauge = (name: string) => gauges.get(name) ?? 0;
  return {
    ...{ fsync, commit, hasLeader: hasLeader === 1 },
    leaderChanges: gauge('etcd_server_leader_changes_seen_total'),
    proposalsPending: gauge('etcd_server_proposals_pending'),
    dbSizeBytes: gauge('etcd_mvcc_db_total_size_in_bytes'),
    dbQuotaBytes: gauge('etcd_server_quota_backend_bytes'),
  };
}

export interface Quantile {
  /** Undefined when nothing was measured. */
  readonly seconds: number | undefined;
  readonly samples: number;
}

/**
 * The 99th percentile of what was measured between two scrapes, as Prometheus reckons it: linear
 * within a bucket; in the last one its lower bound. After a restart of etcd all counts are new.
 */
export function p99Between(before: Histogram, after: Histogram): Quantile {
  const totalOf = (histogram: Histogram) => histogram.at(-1)?.count ?? 0;
  const isSameRun = totalOf(after) >= totalOf(before) && before.length === after.length;
  const counts = after.map(({ count }, at) => count - (isSameRun ? (before[at]?.count ?? 0) : 0));
  const samples = counts.at(-1) ?? 0;
  if (samples <= 0) return { seconds: undefined, samples: 0 };
  const rank = 0.99 * samples;
  const at = counts.findIndex((count) => count >= rank);
  const upper = after[at]?.boundSeconds ?? 0;
  const lower = after[at - 1]?.boundSeconds ?? 0;
  if (!Number.isFinite(upper)) return { seconds: lower, samples };
  const below = counts[at - 1] ?? 0;
  return { seconds: lower + ((upper - lower) * (rank - below)) / ((counts[at] ?? 0) - below), samples };
}
