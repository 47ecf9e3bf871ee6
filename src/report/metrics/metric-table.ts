/**
 * Every metric of `/metrics`, once: the output and docs/metrics.md are made from this table, and the
 * compiler refuses a sample of another name or with other labels.
 *
 * Names follow Prometheus' rules (base units, `_total` for counters). Labels have few values: units
 * and edges of the graph, and short closed lists; never a path, a pid or a text of a process.
 */
import { edgeKinds } from '../../unit/schema.ts';
import { unitStates } from '../../unit/state.ts';

export interface MetricRow {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly labels: readonly LabelName[];
  readonly help: string;
}

export const probeKinds = [
  'notify',
  'http',
  'https',
  'tcp',
  'unix',
  'grpc',
  'exec',
  'file',
  'log',
  'all',
  'any',
  'watchdog',
  'other',
] as const;
export const stages = ['waiting', 'spawn', 'until_ready'] as const;
export type Stage = (typeof stages)[number];
const exitHows = ['clean', 'code', 'signal', 'unknown'] as const;
export type ExitHow = (typeof exitHows)[number];

/** What each label may say; docs/metrics.md lists it. */
export const labelMeanings = {
  unit: 'name of a unit of the graph',
  dependency: 'the unit that is waited for',
  kind: `of an edge: ${edgeKinds.join(', ')}; of a check: ${probeKinds.join(', ')}`,
  stage:
    'waiting (wanted until its last gate opened), spawn (until its process runs), until_ready (until its check passed)',
  state: unitStates.join(', '),
  phase: 'ready (the check of a start), health (the check of a running unit)',
  outcome: 'passed, failed',
  how: `${exitHows.join(', ')}: exit code 0, another code, a signal, or not known`,
  version: 'version of k3s-lite',
  figure: 'what a unit of ours measures, named by it',
} as const;
export type LabelName = keyof typeof labelMeanings;

export const metricTable = [
  row('k3s_lite_build_info', 'gauge', ['version'], 'Always 1; the version that runs.'),
  row('k3s_lite_ready', 'gauge', [], '1 while every wanted unit is ready or done.'),
  row('k3s_lite_start_seconds', 'gauge', [], 'From the start until everything was ready for the first time.'),
  row(
    'k3s_lite_unit_start_seconds',
    'gauge',
    ['unit', 'stage'],
    'The last start of a unit that became ready, by stage.',
  ),
  row('k3s_lite_unit_state', 'gauge', ['unit', 'state'], '1 for the present state of a unit, 0 for every other.'),
  row('k3s_lite_unit_generation', 'gauge', ['unit'], 'Number of the present or last run of a unit, from 1.'),
  row('k3s_lite_unit_restarts_total', 'counter', ['unit'], 'Starts of a unit after its first one.'),
  row('k3s_lite_unit_failures_total', 'counter', ['unit'], 'How often a unit reached its limit of failed starts.'),
  row(
    'k3s_lite_unit_exits_total',
    'counter',
    ['unit', 'how'],
    'Ends of a unit’s process, also those that were asked for.',
  ),
  row('k3s_lite_unit_cpu_seconds_total', 'counter', ['unit'], 'CPU time of the present run of a unit.'),
  row(
    'k3s_lite_unit_memory_bytes',
    'gauge',
    ['unit'],
    'Memory of a unit: of its cgroup if it has limits.memory, else resident memory, in which shared pages count for each process.',
  ),
  row('k3s_lite_unit_memory_peak_bytes', 'gauge', ['unit'], 'Most memory of the present run; only with limits.memory.'),
  row('k3s_lite_unit_oom_kills_total', 'counter', ['unit'], 'Ends of a unit by the kernel because of limits.memory.'),
  row(
    'k3s_lite_unit_figure',
    'gauge',
    ['unit', 'figure'],
    'What a unit has measured and tells of itself (X_FIGURES=), as etcd-watch does of etcd.',
  ),
  row('k3s_lite_probe_attempts_total', 'counter', ['unit', 'phase', 'kind', 'outcome'], 'Attempts of a check.'),
  row(
    'k3s_lite_edge_blocked_seconds_total',
    'counter',
    ['unit', 'dependency', 'kind'],
    'How long a unit could not start because of one dependency.',
  ),
  row('k3s_lite_events_total', 'counter', [], 'Events of k3s-lite since it runs.'),
  row(
    'k3s_lite_events_dropped_total',
    'counter',
    [],
    'Events that some reader was too slow for; no unit is delayed by that.',
  ),
  row(
    'k3s_lite_metrics_events_missed_total',
    'counter',
    [],
    'Events that these metrics themselves missed: if not 0, the counters of units are too low by them.',
  ),
  row(
    'k3s_lite_process_start_time_seconds',
    'gauge',
    [],
    'When k3s-lite was started, in seconds since the Unix epoch.',
  ),
  row('k3s_lite_process_cpu_seconds_total', 'counter', [], 'CPU time of k3s-lite itself, without its units.'),
  row('k3s_lite_process_resident_memory_bytes', 'gauge', [], 'Resident memory of k3s-lite itself.'),
  row('k3s_lite_event_loop_busy_seconds_total', 'counter', [], 'Time in which the event loop of k3s-lite was busy.'),
  row(
    'k3s_lite_event_loop_lag_seconds',
    'gauge',
    [],
    'How long work that was due had to wait when this was asked for.',
  ),
] as const satisfies readonly MetricRow[];

type Row = (typeof metricTable)[number];
export type MetricName = Row['name'];
export type LabelsOf<N extends MetricName> = Readonly<Record<Extract<Row, { name: N }>['labels'][number], string>>;

/** Keeps the literal types, on one line a row. */
function row<const N extends string, const L extends readonly LabelName[]>(
  name: N,
  type: MetricRow['type'],
  labels: L,
  help: string,
): { readonly name: N; readonly type: MetricRow['type']; readonly labels: L; readonly help: string } {
  return { name, type, labels, help };
}
