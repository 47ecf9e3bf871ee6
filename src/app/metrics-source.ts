/** What `/metrics` answers: the fold over all events, and figures of this process at the time of asking. */
import { parseBindAddress, type BindAddress } from '../control/bind-address.ts';
import type { EventStream } from '../event/stream.ts';
import type { Clock } from '../kernel/clock.ts';
import type { MetricsFold } from '../report/metrics/metrics-fold.ts';
import type { UnitUsage } from '../process/unit-usage.ts';
import { afterStart } from './after-start.ts';
import type { FlagValues } from './flag-values.ts';
import { version } from './version.ts';

export interface MetricsSource extends Disposable {
  text(): Promise<string>;
}

export interface MetricsSourceOptions {
  readonly events: EventStream;
  readonly clock: Clock;
  /** What each running unit uses now. */
  usage(): ReadonlyMap<string, UnitUsage>;
}

/** Its code is loaded and its reading begins after the start, or when somebody asks before. */
export function metricsSource({ events, clock, usage }: MetricsSourceOptions): MetricsSource {
  let subscription: Disposable | undefined;
  let isEnded = false;
  let opened: Promise<MetricsFold> | undefined;
  const load = async () => {
    const { metricsFold } = await import('../report/metrics/metrics-fold.ts');
    const fold = metricsFold();
    if (!isEnded) subscription = events.subscribe(fold, { since: 0 });
    return fold;
  };
  const open = () => (opened ??= load());
  const waiting = afterStart({ events, clock }, () => void open());

  return {
    async text() {
      waiting[Symbol.dispose]();
      const fold = await open();
      const { Samples } = await import('../report/metrics/exposition.ts');
      const lagMs = await lag(clock);
      // Readers drain in turns of their own: what has happened until now is told.
      events.flush();
      const samples = new Samples();
      samples.add('k3s_lite_build_info', { version }, 1);
      fold.collect(samples, clock.monotonicMs());
      for (const [unit, { cpuSeconds, memoryBytes, memoryPeakBytes }] of usage()) {
        samples.add('k3s_lite_unit_cpu_seconds_total', { unit }, cpuSeconds);
        samples.add('k3s_lite_unit_memory_bytes', { unit }, memoryBytes);
        if (memoryPeakBytes !== undefined) samples.add('k3s_lite_unit_memory_peak_bytes', { unit }, memoryPeakBytes);
      }
      samples.add('k3s_lite_events_total', {}, events.lastSeq);
      samples.add('k3s_lite_events_dropped_total', {}, events.dropped);
      const { user, system } = process.cpuUsage();
      samples.add('k3s_lite_process_start_time_seconds', {}, performance.timeOrigin / 1000);
      samples.add('k3s_lite_process_cpu_seconds_total', {}, (user + system) / 1e6);
      samples.add('k3s_lite_process_resident_memory_bytes', {}, process.memoryUsage.rss());
      samples.add('k3s_lite_event_loop_busy_seconds_total', {}, performance.eventLoopUtilization().active / 1000);
      samples.add('k3s_lite_event_loop_lag_seconds', {}, lagMs / 1000);
      return samples.toText();
    },
    [Symbol.dispose]() {
      isEnded = true;
      waiting[Symbol.dispose]();
      subscription?.[Symbol.dispose]();
    },
  };
}

/** `--metrics-bind-address`. @throws StartupError ERR_CONFIG */
export function metricsAddressOf(values: FlagValues): BindAddress | undefined {
  const address = values['metrics-bind-address'];
  return typeof address === 'string' ? parseBindAddress(address) : undefined;
}

/** Listens only if there is an address. @throws StartupError ERR_CONFIG if it cannot be had */
export async function serveMetrics(
  address: BindAddress | undefined,
  metrics: MetricsSource,
  events: EventStream,
): Promise<AsyncDisposable | undefined> {
  if (address === undefined) return undefined;
  const { createMetricsServer } = await import('../control/metrics-server.ts');
  return createMetricsServer({
    address,
    text: metrics.text,
    onError: (error) =>
      events.emit({ type: 'notice', level: 'warning', text: `internal error: /metrics: ${String(error)}` }),
  });
}

/** One turn of the event loop, measured when asked: a histogram of Node's would wake the process every few milliseconds. */
function lag(clock: Clock): Promise<number> {
  const sinceMs = clock.monotonicMs();
  return new Promise((resolve) => {
    clock.soon(() => resolve(clock.monotonicMs() - sinceMs));
  });
}
