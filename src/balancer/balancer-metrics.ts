/**
 * The metrics of one balancer: folded from its events, and read from its state when somebody asks.
 * The first three have K3s's names behind our prefix. Text format: Prometheus 0.0.4.
 */
import type { Envelope } from '../event/event.ts';
import type { Subscriber } from '../event/stream.ts';
import type { BalancerEvent, BalancerEventOf } from './balancer-event.ts';
import type { ForwarderCounts } from './forwarder.ts';
import { stateNumber, type RoutingState } from './routing-state.ts';

const prefix = 'k3s_lite_loadbalancer_';

/** What each tells; docs/balancer.md has them all. */
export const metricRows = [
  ['server_connections', 'gauge', 'Connections to a server.'],
  [
    'server_health',
    'gauge',
    'State of a server, as a number: 0 invalid, 1 failed, 2 standby, 3 unchecked, 4 recovering, 5 healthy, 6 preferred, 7 active.',
  ],
  ['dial_duration_seconds', 'histogram', 'From a client’s connection until a server was found for it, or none.'],
  ['server_state_seconds', 'gauge', 'How long a server has been in its state.'],
  ['server_dial_seconds', 'gauge', 'Moving average of the time that dials of a server took.'],
  ['server_transitions_total', 'counter', 'Changes of a server’s state, by the state that it came into.'],
  ['server_failures_total', 'counter', 'Failed dials of a server.'],
  ['connections_closed_total', 'counter', 'Connections that were told to end, by reason.'],
  [
    'decisions_total',
    'counter',
    'Connections of clients, by what became of them: first (the first server that was tried), fallback (a later one), or why there was none.',
  ],
  ['list_updates_total', 'counter', 'Changes of the list of servers: taken or refused.'],
  ['connections', 'gauge', 'Connections of clients, those included that wait for a server.'],
  ['refused_connections_total', 'counter', 'Connections refused because there were too many.'],
  ['bytes_total', 'counter', 'Bytes of connections that have ended: up (to servers) and down.'],
] as const;
type MetricName = (typeof metricRows)[number][0];

/** Upper bounds in seconds. Source: K3s, 15 buckets from 1 ms, each twice the one before. */
const buckets = Array.from({ length: 15 }, (_, index) => 0.001 * 2 ** index);

type Labels = Readonly<Record<string, string>>;

export interface BalancerMetrics extends Subscriber<BalancerEvent> {
  text(state: RoutingState, counts: ForwarderCounts, nowMs: number): string;
}

export function balancerMetrics(name: string): BalancerMetrics {
  /** By metric and its labels as text, so that each combination is one sample. */
  const counters = new Map<MetricName, Map<string, { readonly labels: Labels; value: number }>>();
  const dials = { success: histogram(), error: histogram() };

  const count = (metric: MetricName, labels: Labels, by = 1) => {
    const samples = counters.get(metric) ?? new Map<string, { readonly labels: Labels; value: number }>();
    counters.set(metric, samples);
    const key = JSON.stringify(labels);
    const sample = samples.get(key);
    if (sample === undefined) samples.set(key, { labels, value: by });
    else sample.value += by;
  };

  const onServer = ({ server, to }: BalancerEventOf<'lb.server'>) => {
    if (to !== undefined) {
      count('server_transitions_total', { server, to });
      return;
    }
    // Of a server that has gone nothing is told any more: addresses come and go, and each would stay for ever.
    for (const samples of counters.values()) {
      for (const [key, { labels }] of samples) if (labels['server'] === server) samples.delete(key);
    }
  };

  const onDecision = ({ attempts, chosen, tookMs, gaveUp }: BalancerEventOf<'lb.decision'>) => {
    for (const { server, outcome } of attempts) {
      if (outcome !== 'connected' && !outcome.startsWith('slow') && !outcome.startsWith('given up')) {
        count('server_failures_total', { server });
      }
    }
    count('decisions_total', { outcome: gaveUp ?? (attempts[0]?.server === chosen ? 'first' : 'fallback') });
    if (gaveUp !== 'the client left') dials[gaveUp === undefined ? 'success' : 'error'].observe(tookMs / 1000);
  };

  const onRouted = ({ tookMs }: BalancerEventOf<'lb.routed'>) => {
    count('decisions_total', { outcome: 'first' }, tookMs.length);
    for (const ms of tookMs) dials.success.observe(ms / 1000);
  };

  return {
    onEvent({ event }: Envelope<BalancerEvent>) {
      if (event.type === 'lb.server') onServer(event);
      else if (event.type === 'lb.routed') onRouted(event);
      else if (event.type === 'lb.decision') onDecision(event);
      else if (event.type === 'lb.closing')
        count('connections_closed_total', { server: event.server, reason: event.reason }, event.count);
      else if (event.type === 'lb.list') count('list_updates_total', { result: 'taken' });
      else if (event.type === 'lb.list-refused') count('list_updates_total', { result: 'refused' });
    },
    text(state, counts, nowMs) {
      const now = new Map<MetricName, readonly (readonly [Labels, number])[]>([
        ['server_connections', state.servers.map(({ address, connections }) => [{ server: address }, connections])],
        ['server_health', state.servers.map((server) => [{ server: server.address }, stateNumber(server.state)])],
        [
          'server_state_seconds',
          state.servers.map(({ address, sinceMs }) => [{ server: address }, (nowMs - sinceMs) / 1000]),
        ],
        [
          'server_dial_seconds',
          state.servers.flatMap(({ address, dialMs }): readonly [Labels, number][] =>
            dialMs === undefined ? [] : [[{ server: address }, dialMs / 1000]],
          ),
        ],
        ['connections', [[{}, counts.connections]]],
        ['refused_connections_total', [[{}, counts.refused]]],
        [
          'bytes_total',
          [
            [{ direction: 'up' }, counts.bytesUp],
            [{ direction: 'down' }, counts.bytesDown],
          ],
        ],
      ]);
      return metricRows
        .map(([metric, type, help]) => {
          const samples =
            metric === 'dial_duration_seconds'
              ? Object.entries(dials).flatMap(([status, dial]) => dial.lines(`${prefix}${metric}`, { name, status }))
              : (
                  now.get(metric) ??
                  [...(counters.get(metric)?.values() ?? [])].map(({ labels, value }) => [labels, value] as const)
                ).map(
                  ([labels, value]) => `${prefix}${metric}${labelsText({ name, ...labels })} ${numberText(value)}\n`,
                );
          if (samples.length === 0) return '';
          return `# HELP ${prefix}${metric} ${help}\n# TYPE ${prefix}${metric} ${type}\n${samples.join('')}`;
        })
        .join('');
    },
  };
}

function histogram() {
  const counts = buckets.map(() => 0);
  let sum = 0;
  let total = 0;
  return {
    observe(seconds: number) {
      sum += seconds;
      total += 1;
      const at = buckets.findIndex((bound) => seconds <= bound);
      if (at >= 0) counts[at] = (counts[at] ?? 0) + 1;
    },
    lines(metric: string, labels: Labels): readonly string[] {
      let below = 0;
      const line = (suffix: string, more: Labels, value: number) =>
        `${metric}${suffix}${labelsText({ ...labels, ...more })} ${numberText(value)}\n`;
      return [
        ...buckets.map((bound, index) => {
          below += counts[index] ?? 0;
          return line('_bucket', { le: String(bound) }, below);
        }),
        line('_bucket', { le: '+Inf' }, total),
        line('_sum', {}, sum),
        line('_count', {}, total),
      ];
    },
  };
}

const labelsText = (labels: Labels): string =>
  `{${Object.entries(labels)
    .map(
      ([label, value]) => `${label}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`,
    )
    .join(',')}}`;

const numberText = (value: number): string => String(Math.round(value * 1e6) / 1e6);
