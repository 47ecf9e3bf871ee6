import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  foldLook,
  healthText,
  thresholds,
  unknownHealth,
  warningOf,
  type EtcdHealth,
  type EtcdLook,
} from '../../../src/cluster/etcd/etcd-health.ts';
import { p99Between, readScrape, type EtcdScrape, type Histogram } from '../../../src/cluster/etcd/etcd-metrics.ts';

const bounds = [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, Number.POSITIVE_INFINITY];
const histogram = (seconds: readonly number[]): Histogram =>
  bounds.map((boundSeconds) => ({ boundSeconds, count: seconds.filter((each) => each <= boundSeconds).length }));

/** An etcd that measures, looked at every two seconds. */
function etcd() {
  const [fsyncs, commits]: [number[], number[]] = [[], []];
  let atMs = 0;
  let health: EtcdHealth = unknownHealth;
  let changes = 1;
  return {
    look(
      more: Partial<EtcdScrape> & {
        readonly fsyncs?: readonly number[];
        readonly commits?: readonly number[];
        readonly lags?: EtcdLook['lags'];
      } = {},
    ): string {
      const { fsyncs: newFsyncs = [], commits: newCommits = [], lags, ...rest } = more;
      fsyncs.push(...newFsyncs);
      commits.push(...newCommits);
      changes = more.leaderChanges ?? changes;
      const scrape: EtcdScrape = {
        ...{ hasLeader: true, proposalsPending: 0, dbSizeBytes: 1000, dbQuotaBytes: 10_000 },
        ...rest,
        ...{ fsync: histogram(fsyncs), commit: histogram(commits), leaderChanges: changes },
      };
      health = foldLook(health, { atMs, scrape, ...(lags === undefined ? {} : { lags }) });
      atMs += 2000;
      return warningOf(health);
    },
    skip: (ms: number) => void (atMs += ms),
    get health() {
      return health;
    },
  };
}
const many = (seconds: number, count = 20) => Array.from({ length: count }, () => seconds);

test('the figures are read from what etcd answers, and anything else is refused', () => {
  const text = [
    '# HELP etcd_server_has_leader Whether or not a leader exists.',
    'etcd_server_has_leader 1',
    'etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} 40',
    'etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} 46',
    'etcd_disk_backend_commit_duration_seconds_bucket{le="+Inf"} 12',
    'etcd_server_leader_changes_seen_total 3',
    'etcd_server_proposals_pending 2',
    'etcd_mvcc_db_total_size_in_bytes 24576',
    'etcd_server_quota_backend_bytes 2.147483648e+09',
    'etcd_network_peer_sent_bytes_total{To="abc"} 7',
  ].join('\n');
  expect(readScrape(text)).toEqual({
    fsync: [
      { boundSeconds: 0.001, count: 40 },
      { boundSeconds: Number.POSITIVE_INFINITY, count: 46 },
    ],
    commit: [{ boundSeconds: Number.POSITIVE_INFINITY, count: 12 }],
    ...{ hasLeader: true, leaderChanges: 3, proposalsPending: 2, dbSizeBytes: 24_576, dbQuotaBytes: 2 ** 31 },
  });
  expect(readScrape('')).toBeUndefined();
  expect(readScrape('<html>')).toBeUndefined();
});

test('the p99 is of what was measured between two scrapes, within the bucket that holds it', () => {
  const before = histogram(many(0.0005, 1000));
  expect(p99Between(before, before)).toEqual({ seconds: undefined, samples: 0 });
  expect(p99Between(before, histogram([...many(0.0005, 1000), ...many(0.01, 100)]))).toEqual({
    seconds: expect.closeTo(0.008 + 0.008 * 0.99, 6) as number,
    samples: 100,
  });
  // Longer than any bucket: at least its beginning.
  expect(p99Between(before, histogram([...many(0.0005, 1000), 30])).seconds).toBe(1.024);
  // etcd was restarted: its counts are all new.
  expect(p99Between(before, histogram(many(0.003, 10))).samples).toBe(10);
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0.0001, max: 1, noNaN: true }), { minLength: 1 }), (seconds) => {
      const exact = seconds.toSorted((a, b) => a - b)[Math.ceil(0.99 * seconds.length) - 1] ?? 0;
      const upper = bounds.find((bound) => exact <= bound) ?? 0;
      const lower = bounds[bounds.indexOf(upper) - 1] ?? 0;
      const { seconds: p99 = 0 } = p99Between(histogram([]), histogram(seconds));
      expect(p99).toBeGreaterThanOrEqual(lower);
      expect(p99).toBeLessThanOrEqual(upper);
    }),
  );
});

test('a disk that is slow for three looks is warned of once, with the words that it began with, until it is well again', () => {
  const watched = etcd();
  watched.look({ fsyncs: many(0.001) });
  expect(watched.look({ fsyncs: many(0.02) })).toBe('');
  expect(watched.look({ fsyncs: many(0.02) })).toBe('');
  const told = watched.look({ fsyncs: many(0.02) });
  expect(told).toMatch(/^etcd writes its log slowly \(p99 \d+ ms, more than 10 ms\)$/);
  expect(watched.look({ fsyncs: many(0.03) })).toBe(told);
  expect(watched.health.figures).toMatchObject({ warnings: 1 });
  watched.skip(10_000);
  for (const _ of [1, 2, 3, 4]) expect(watched.look({ fsyncs: many(0.001) })).toBe(told);
  watched.skip(10_000);
  for (const _ of [1, 2, 3, 4, 5]) watched.look({ fsyncs: many(0.001) });
  expect(warningOf(watched.health)).toBe('');
});

test('one slow fsync in a busy moment is no warning, and few samples are none', () => {
  const watched = etcd();
  watched.look();
  expect(watched.look({ fsyncs: [0.1, 0.1] })).toBe('');
  for (const _ of [1, 2, 3]) expect(watched.look({ fsyncs: [0.001] })).toBe('');
  watched.skip(20_000);
  watched.look({ fsyncs: [...many(0.001, 1000), 0.1] });
  expect(watched.look({ fsyncs: many(0.001, 1000) })).toBe('');
});

test('what may lose the leader is told at once, and replaces the milder warning', () => {
  const watched = etcd();
  watched.look();
  for (const _ of [1, 2, 3]) watched.look({ commits: many(0.05) });
  expect(warningOf(watched.health)).toContain('etcd commits slowly');
  expect(warningOf(watched.health)).not.toContain('lose');
  expect(watched.look({ commits: many(0.4) })).toContain('more than 0.25 s), so it may lose its leader');
  expect(watched.look({ fsyncs: [0.9] })).toMatch(
    /^etcd writes its log slowly .* lose its leader; etcd commits slowly/,
  );
});

test('a write that waits while nothing ends on the disk is told, though nothing could be measured', () => {
  const watched = etcd();
  watched.look({ fsyncs: many(0.001), proposalsPending: 1 });
  expect(watched.look({ fsyncs: [0.001], proposalsPending: 1 })).toBe('');
  expect(watched.look({ proposalsPending: 1 })).toContain('the disk of etcd stands');
});

test('leaders that change, members that lag, a full database and no leader each have their words', () => {
  const watched = etcd();
  watched.look();
  expect(watched.look({ leaderChanges: 2 })).toBe('');
  expect(watched.look({ leaderChanges: 5 })).toBe('etcd changed its leader 4 times in 15 minutes');
  watched.skip(16 * 60_000);
  for (const _ of [1, 2, 3, 4, 5, 6]) watched.look();
  expect(warningOf(watched.health)).toBe('');
  for (const _ of [1, 2, 3]) {
    watched.look({
      lags: [
        { name: 'm2', entries: thresholds.lagEntries },
        { name: 'm3', entries: 3 },
      ],
    });
  }
  expect(warningOf(watched.health)).toBe('members of etcd lag: m2 is 5000 entries behind');
  expect(watched.look({ dbSizeBytes: 8000 })).toContain('etcd has 7.8 KiB of 9.8 KiB');
  expect(watched.look({ hasLeader: false })).toMatch(/^etcd has no leader: .*; etcd has 7.8 KiB/);
  expect(healthText(watched.health)).toMatch(
    /^warning: etcd has no leader: .*, fsync p99 -, commit p99 -, 0 leader changes, lag 5000, db 1000 B$/,
  );
});

test('the fold remembers no more than its window', () => {
  const watched = etcd();
  for (let count = 0; count < 1000; count += 1) watched.look({ leaderChanges: count });
  expect(watched.health.looks.length).toBeLessThanOrEqual(7);
  expect(watched.health.changes.length).toBeLessThanOrEqual(450);
});
