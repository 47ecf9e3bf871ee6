/**
 * README's table "What works": every demand with the passed tests whose names carry its id.
 *
 * `npm test` writes the report (.cache/test-report.json); `npm run docs` writes the table from it.
 * A report of a part of the tests, which a single `vitest run` leaves behind, makes no table.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** What the project must do, in its own words. */
export const demands = {
  S1: 'One source of readiness per component; a check runs once, however many wait for it',
  S2: '`getApiServerReady()`, `getContainerRuntimeReady()` and the like; every unit by name',
  S3: 'Starting returns at once; readiness by channel, promise or callback, awaited only where it is needed',
  S4: 'Structured errors that travel along the graph: a dependent’s error carries the root cause',
  S5: 'Exponential backoff with jitter and cap for every check and every restart',
  S6: 'Checks run concurrently',
  S7: 'Hard, soft and parallel dependencies, visible in the graph (DOT, SVG, terminal)',
  S8: 'State, since when, waiting for what, last error, next retry, at any time; time per stage; critical path',
  S9: 'A shorter start than a shell entrypoint or a supervisor that polls: [measured](docs/benchmarks.md), and the tests show that nothing waits for a poll',
  C1: 'Made with execa, graphlib, pino, p-retry, zod and vitest',
  C2: 'Top level: package.json, tsconfig.json, src, units, test, bin, README.md',
  C3: 'Unit files set hard, soft and parallel edges between containerd, etcd, API server, controllers and kubelet',
  C4: 'An executor with readiness channels, structured readiness errors and exponential-backoff probes, in graph order',
  C5: 'Replaces the shell entrypoint in k3s-like images',
  C6: 'The command `k3s-lite up`',
  C7: 'The dependency graph as DOT',
  H1: 'Several `--server` addresses; further servers are discovered while running',
  H2: 'What is known of the servers survives restarts',
  H3: 'Servers are tried in the order of measured latency and health',
  H4: 'Servers that cannot be reached are retried with exponential backoff; a network is never a fatal reason',
  H5: 'The authority is fetched from any server that answers, and checked against the token’s hash',
  H6: 'TLS handshakes have a time limit of their own',
  H7: 'Flags `--node-connection-retry`, `--etcd-request-timeout`, `--cluster-reset`',
  H8: 'Six nodes (three of etcd, two of the control plane, one worker) of which the first, which all were given, is lost: all others are restarted, and all are Ready',
  H9: 'Nodes keep heartbeats with each other (gRPC health protocol): a silent peer is known within seconds',
  H10: 'The disk of etcd, its leader and its members are watched, shown, and warned of before an election is lost',
  H11: 'Certificates are rotated without downtime; a failover drill is run on command and says what it proved',
  L1: 'One authoritative list of servers; every change is atomic',
  L2: 'An explicit state machine, written as a table, that a test walks completely',
  L3: 'Health checks apart from routing',
  L4: 'Connections of each server counted, drained, closed by rule',
  L5: 'Weighted random choice beside the sticky default',
  L6: 'Events of every change that anything can subscribe to',
  L7: 'Dialling is safe against list changes at any interleaving',
  L8: 'Metrics, decision log, and a live interface: list, explain, drain, pin, simulate',
  L9: 'Proven on several nodes, restarts, partition, rolling update, many connections, a soak',
  V1: 'Services of type LoadBalancer get virtual IPs, announced by ARP from the elected node',
  V2: 'Balanced assignment: no node holds more than its fair share',
  V3: 'Rebalanced when nodes come and go, with as few moves as possible',
  V4: '`externalTrafficPolicy: Local` only on nodes with a ready endpoint; affinity and anti-affinity between addresses and nodes',
  V5: 'The distribution is monitored: addresses per node, imbalance, an alert',
  V6: 'Maintenance windows hold voluntary moves; a node is drained on command',
  V7: 'Transient and permanent errors are told apart',
  V8: 'Transient errors are retried, with backoff, while the Lease is valid',
  V9: 'When retries fail: silent, withdrawn and released, so that another node takes over at once',
  V10: 'Taking and dropping an address is atomic: never half, never on two nodes, cleaned up after a crash',
  V11: 'Times of elections are configurable, and checked against each other',
  V12: 'Metrics and events of elections, retries, moves and failovers',
};

/** Tests that run real processes or the real components, by the beginning of their path. */
const realTests = [
  'test/cluster/',
  'test/process/',
  'test/executor/executor-real',
  'test/component/real-binaries',
  'test/cli/balancer-process',
];

export const isReal = (file) => realTests.some((start) => file.startsWith(start));

/**
 * @param report the parsed JSON report of all tests
 * @param root folder of the clone
 * @returns the table, and the ids without a passed test on real processes
 * @throws an Error when the report lacks a file of tests
 */
export function whatWorks(report, root) {
  const files = report.testResults.map(({ name, assertionResults }) => ({
    file: path.relative(root, name).replaceAll(path.sep, '/'),
    assertionResults,
  }));
  const tests = files.flatMap(({ file, assertionResults }) =>
    assertionResults.map(({ title, fullName, status }) => ({
      file,
      title,
      ids: [...fullName.matchAll(/\[([A-Z]\d+)\]/g)].map(([, id]) => id),
      passed: status === 'passed',
    })),
  );
  const lacking = testFiles(root).filter((file) => !files.some((each) => each.file === file));
  if (lacking.length > 0) {
    throw new Error(`the report lacks ${lacking.length} files, ${lacking[0]} the first: run \`npm test\` to its end`);
  }
  tests.sort((one, other) => one.file.localeCompare(other.file, 'en'));
  const proving = (id) => tests.filter(({ ids, passed }) => passed && ids.includes(id));
  const rows = Object.entries(demands).map(([id, demand]) => {
    const proofs = proving(id);
    const real = proofs.filter(({ file }) => isReal(file));
    const others = proofs.length - real.length;
    return `| ${id} | ${demand} | ${cell(real)} | ${others === 0 ? '' : others} |`;
  });
  const table = ['| | demand | proven on real processes by | further tests |', '|---|---|---|---|', ...rows].join('\n');
  return { table, unproven: Object.keys(demands).filter((id) => !proving(id).some(({ file }) => isReal(file))) };
}

/** `[control-plane](test/…) 3: *first name* …` for each file. */
function cell(proofs) {
  if (proofs.length === 0) return '**not yet**';
  return [...groupByFile(proofs)]
    .map(([file, tests]) => {
      const name = tests[0].title.replaceAll(/\[[A-Z]\d+\] ?/g, '').replaceAll('|', '\\|');
      const more = tests.length > 1 ? ` and ${tests.length - 1} more` : '';
      return `[${path.basename(file, '.test.ts')}](${file}): ${name}${more}`;
    })
    .join('<br>');
}

function groupByFile(proofs) {
  const groups = new Map();
  for (const proof of proofs) groups.set(proof.file, [...(groups.get(proof.file) ?? []), proof]);
  return groups;
}

/** Files of `npm test`, relative to the clone. */
function testFiles(root) {
  return readdirSync(path.join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .map((file) => `test/${file.replaceAll(path.sep, '/')}`)
    .filter((file) => file.endsWith('.test.ts') && !file.startsWith('test/long/'));
}

/** The last report of `npm test`; undefined when there is none. */
export function lastReport(root) {
  try {
    return JSON.parse(readFileSync(path.join(root, '.cache/test-report.json'), 'utf8'));
  } catch {
    return undefined;
  }
}
