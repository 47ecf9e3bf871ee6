/** docs/metrics.md from the table of metrics; a test compares the file with what this returns. */
import { labelMeanings, metricTable, type LabelName, type MetricRow } from './metric-table.ts';

export function metricsReference(): string {
  const table: readonly MetricRow[] = metricTable;
  const used = new Set<LabelName>(table.flatMap(({ labels }) => labels));
  return [
    '<!-- Generated from src/report/metrics/metric-table.ts by `metricsReference`; do not edit. -->',
    '# Metrics',
    '',
    '`k3s-lite metrics` prints them; `GET /v1/metrics` on the control socket answers the same; and with',
    '`up --metrics-bind-address 127.0.0.1:9464` they are at `http://127.0.0.1:9464/metrics`. The format is the text format of',
    'Prometheus. Without that flag nothing listens on the network; with it, whoever reaches the address can read them, so keep it',
    'on the loopback address or behind something that asks who comes.',
    '',
    'Figures of units are folded from the event stream, from the first event on. Counters start anew with k3s-lite itself, as',
    'Prometheus expects of a process. `waiting`, `spawn` and `until_ready` of `k3s_lite_unit_start_seconds` add up to the time',
    'from wanted to ready; the components serve further metrics of their own on their ports.',
    '',
    '| Metric | Type | Labels | Meaning |',
    '|---|---|---|---|',
    ...table.map(({ name, type, labels, help }) => {
      const told = labels.map((label) => `\`${label}\``).join(', ');
      return `| \`${name}\` | ${type} | ${told} | ${help} |`;
    }),
    '',
    '## Labels',
    '',
    '| Label | Values |',
    '|---|---|',
    ...Object.entries(labelMeanings).flatMap(([label, meaning]) =>
      used.has(label as LabelName) ? [`| \`${label}\` | ${meaning} |`] : [],
    ),
    '',
  ].join('\n');
}
