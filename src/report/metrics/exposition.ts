/**
 * The text format of Prometheus, version 0.0.4: HELP and TYPE of each metric, then its samples.
 *
 * Ours and not prom-client's: that one is a registry of counters which the program itself has to
 * count up at each place, and here everything is folded from events; what would be left of it is this file.
 * Source: https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import { metricTable, type LabelsOf, type MetricName } from './metric-table.ts';

interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export class Samples {
  readonly #byName = new Map<MetricName, Sample[]>();

  /** One sample; each combination of labels at most once. */
  add<N extends MetricName>(name: N, labels: LabelsOf<N>, value: number): void {
    const samples = this.#byName.get(name);
    if (samples === undefined) this.#byName.set(name, [{ labels, value }]);
    else samples.push({ labels, value });
  }

  /** In the order of the table; a metric without a sample is left out. */
  toText(): string {
    return metricTable
      .flatMap(({ name, type, labels, help }) => {
        const samples = this.#byName.get(name) ?? [];
        if (samples.length === 0) return [];
        return [
          `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${type}\n`,
          ...samples.map((sample) => `${name}${labelsText(labels, sample.labels)} ${valueText(sample.value)}\n`),
        ];
      })
      .join('');
  }
}

function labelsText(names: readonly string[], labels: Sample['labels']): string {
  if (names.length === 0) return '';
  return `{${names.map((name) => `${name}="${escaped(labels[name] ?? '')}"`).join(',')}}`;
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

/** Microseconds are enough for times; JavaScript's way of writing numbers is Go's too. */
function valueText(value: number): string {
  return Number.isFinite(value) ? String(Math.round(value * 1e6) / 1e6) : 'NaN';
}
