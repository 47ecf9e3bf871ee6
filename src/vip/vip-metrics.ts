/**
 * The metrics of virtual IPs as one node's process tells them: folded from its events, and read from
 * the assignment when somebody asks. Text format: Prometheus 0.0.4. The rules of alarm over them are
 * in packaging/vip-alerts.yaml.
 */
import type { Envelope } from '../event/event.ts';
import type { Subscriber } from '../event/stream.ts';
import type { StatusAnswer } from './control-model.ts';
import { nodeOfLease } from './coordination/cluster-api.ts';
import type { VipEvent } from './vip-event.ts';

const prefix = 'k3s_lite_vip_';

const rows = [
  ['held', 'gauge', 'Addresses that a node holds.'],
  ['apiserver', 'gauge', 'Whether a node holds the address that the API servers share; none where there is none.'],
  ['imbalance_ratio', 'gauge', 'Highest load of a node by its share of the capacity; 1 is even.'],
  ['unassigned', 'gauge', 'Addresses that no node holds.'],
  ['lease_good', 'gauge', 'Whether this node may answer for its addresses.'],
  [
    'lease_margin_seconds',
    'gauge',
    'Least time in the last minute until this node had to be silent; 0: its Lease is not good.',
  ],
  ['lease_duration_seconds', 'gauge', 'After so long another node may have the addresses of one that is silent.'],
  ['coordinator_epoch', 'gauge', 'Grows with each change of the coordinator.'],
  ['moves_total', 'counter', 'Addresses that were given to a node, by reason.'],
  ['takes_total', 'counter', 'Addresses that this node began to answer for.'],
  ['take_seconds_total', 'counter', 'Time that those took, from the grant until it answered.'],
  ['refusals_total', 'counter', 'Addresses that this node could not take, by kind.'],
  ['silences_total', 'counter', 'Addresses that this node ceased to answer for, by reason.'],
  ['conflicts_total', 'counter', 'Sightings of another machine that answers for an address of this node.'],
  ['lease_transitions_total', 'counter', 'Changes of a Lease’s state, by the state that it came into.'],
  ['api_errors_total', 'counter', 'Failed requests about a Lease, by class; each but the permanent is tried again.'],
] as const;
type Metric = (typeof rows)[number][0];
type Labels = Readonly<Record<string, string>>;

/** A scrape comes seldom; a Lease that was nearly lost is well again within seconds. */
const marginOverMs = 60_000;

/** What only this node's process knows of its Lease. */
export interface LeaseMargin {
  /** Until this node has to be silent; undefined: it has to be. */
  readonly leftMs: number | undefined;
  readonly durationMs: number;
  readonly nowMs: number;
}

export interface VipMetrics extends Subscriber<VipEvent> {
  text(status: StatusAnswer, own: LeaseMargin): string;
}

export function vipMetrics(): VipMetrics {
  /** What was left when a renewal had failed, and nothing when the Lease was lost. */
  let margins: readonly { readonly atMs: number; readonly leftMs: number }[] = [];
  const counters = new Map<Metric, Map<string, number>>();
  const count = (metric: Metric, labels: Labels, by = 1) => {
    const samples = counters.get(metric) ?? new Map<string, number>();
    counters.set(metric, samples);
    const key = labelsText(labels);
    samples.set(key, (samples.get(key) ?? 0) + by);
  };
  const noteMargin = (lease: string, atMs: number, leftMs: number) => {
    if (nodeOfLease(lease) !== undefined) margins = [...recent(margins, atMs), { atMs, leftMs }];
  };
  return {
    onEvent({ event, monotonicMs }: Envelope<VipEvent>) {
      if (event.type === 'vip.move' && event.is === 'granted') count('moves_total', { reason: event.reason });
      else if (event.type === 'vip.taken') {
        count('takes_total', {});
        count('take_seconds_total', {}, event.tookMs / 1000);
      } else if (event.type === 'vip.refused') count('refusals_total', { kind: event.refusal.kind });
      else if (event.type === 'vip.silent') count('silences_total', { reason: event.reason });
      else if (event.type === 'vip.conflict') count('conflicts_total', { mac: event.mac });
      else if (event.type === 'vip.lease') {
        count('lease_transitions_total', { lease: event.lease, to: event.to });
        if (event.to === 'lost') noteMargin(event.lease, monotonicMs, 0);
      } else if (event.type === 'vip.retry') {
        count('api_errors_total', { lease: event.lease, class: event.class });
        if (Number.isFinite(event.leftMs)) noteMargin(event.lease, monotonicMs, event.leftMs);
      }
    },
    text(status, own) {
      margins = recent(margins, own.nowMs);
      const marginMs = Math.min(own.leftMs ?? 0, ...margins.map(({ leftMs }) => leftMs));
      const gauges = gaugesOf(status, marginMs, own.durationMs);
      return rows
        .map(([metric, type, help]) => {
          const samples = gauges.get(metric) ?? [...(counters.get(metric) ?? [])];
          if (samples.length === 0) return '';
          const lines = samples.map(([labels, value]) => `${prefix}${metric}${labels} ${numberText(value)}\n`);
          return `# HELP ${prefix}${metric} ${help}\n# TYPE ${prefix}${metric} ${type}\n${lines.join('')}`;
        })
        .join('');
    },
  };
}

const recent = <T extends { readonly atMs: number }>(all: readonly T[], nowMs: number): readonly T[] =>
  all.filter(({ atMs }) => atMs > nowMs - marginOverMs);

function gaugesOf({ nodes, addresses, imbalance, leaseGood, epoch }: StatusAnswer, marginMs: number, leaseMs: number) {
  const unassigned = addresses.filter(({ owner }) => owner === undefined).length;
  const shared = addresses.filter(({ services }) => services.includes('apiserver'));
  return new Map<Metric, readonly (readonly [string, number])[]>([
    ['held', nodes.map(({ name, held }) => [labelsText({ node: name }), held])],
    [
      'apiserver',
      shared.flatMap(({ address, owner }) =>
        nodes.map(({ name }) => [labelsText({ node: name, address }), Number(owner === name)] as const),
      ),
    ],
    ['imbalance_ratio', [['', imbalance]]],
    ['unassigned', [['', unassigned]]],
    ['lease_good', [['', leaseGood ? 1 : 0]]],
    ['lease_margin_seconds', [['', Math.max(0, marginMs) / 1000]]],
    ['lease_duration_seconds', [['', leaseMs / 1000]]],
    ['coordinator_epoch', [['', epoch]]],
  ]);
}

function labelsText(labels: Labels): string {
  const entries = Object.entries(labels).map(([name, value]) => {
    const escaped = value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
    return `${name}="${escaped}"`;
  });
  return entries.length === 0 ? '' : `{${entries.join(',')}}`;
}

const numberText = (value: number): string => String(Math.round(value * 1e6) / 1e6);
