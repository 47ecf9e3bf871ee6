/** What happens to the virtual addresses of a node, as one union: everything shown of them is folded from it. */
import type { AgentEvent } from './coordination/agent-model.ts';
import type { CoordinatorEvent } from './coordination/coordinator-model.ts';
import type { LeaseEvent } from './coordination/lease-model.ts';
import { createStreamOf, type EventStream, type EventStreamOptions } from '../event/stream.ts';
import { formatDurationMs } from '../kernel/duration.ts';
import { unreachable } from '../kernel/unreachable.ts';

export type VipEvent =
  | LeaseEvent
  | AgentEvent
  | CoordinatorEvent
  /** Another machine answers for an address that we hold. */
  | { readonly type: 'vip.conflict'; readonly address: string; readonly mac: string }
  /** Somebody has taken an address of ours from its interface. */
  | { readonly type: 'vip.missing'; readonly address: string }
  /** Whether this machine's API server is ready, and may have the address that all of them share. */
  | { readonly type: 'vip.api-server'; readonly vip: string; readonly isReady: boolean }
  /** Something a person should know that is none of these. */
  | { readonly type: 'vip.notice'; readonly text: string };

export const vipStream = (options: EventStreamOptions): EventStream<VipEvent> =>
  createStreamOf<VipEvent>({
    ...options,
    readerFailed: (error) => ({
      type: 'vip.notice',
      text: `internal error: an event reader failed and was detached: ${String(error)}`,
    }),
  });

/** One line for people. */
export function vipEventText(event: VipEvent): string {
  switch (event.type) {
    case 'vip.lease':
      return `Lease ${event.lease}: ${event.from} -> ${event.to}: ${event.reason}`;
    case 'vip.retry': {
      const left = Number.isFinite(event.leftMs) ? `, ${formatDurationMs(event.leftMs)} are left` : '';
      const again = `again in ${formatDurationMs(Math.max(event.inMs, 0))}${left}`;
      return `Lease ${event.lease}: attempt ${String(event.attempts)} failed (${event.class}): ${event.text}; ${again}`;
    }
    case 'vip.prepared':
      return `${event.address} is ready here, and closed, after ${formatDurationMs(event.tookMs)}`;
    case 'vip.taken':
      return `${event.address} is answered for here (generation ${String(event.generation)}), after ${formatDurationMs(event.tookMs)}`;
    case 'vip.refused':
      return `${event.address} could not be taken: ${event.refusal.kind}${refusalDetail(event.refusal)}`;
    case 'vip.silent':
      return `${event.address} falls silent here (generation ${String(event.generation)}): ${event.reason}`;
    case 'vip.dropped':
      return `${event.address} is removed here (generation ${String(event.generation)})`;
    case 'vip.withdrawn':
      return 'everything is withdrawn, and was read back';
    case 'vip.actuator-failed':
      return `the kernel refuses to ${event.at}: ${event.reason}`;
    case 'vip.coordinator':
      return `${event.is} as coordinator, epoch ${String(event.epoch)}`;
    case 'vip.node':
      return `node ${event.node}: its Lease is ${event.is}`;
    case 'vip.move': {
      const way = `${event.from ?? 'nobody'} -> ${event.to ?? 'nobody'}`;
      const because = event.because === undefined ? '' : `, ${event.because}`;
      return `${event.address} ${event.is}: ${way} (${event.reason}${because}), generation ${String(event.generation)}`;
    }
    case 'vip.unassigned':
      return event.addresses.length === 0 ? 'every address has a node' : `no node for ${event.addresses.join(', ')}`;
    case 'vip.name-refused': {
      const why = event.why === 'in use' ? 'a Service has it' : 'no server was started with it as --vip-apiserver';
      return `the Lease of ${event.node} names ${event.address} as the API servers’ address, which is refused: ${why}`;
    }
    case 'vip.coordinator-failed':
      return `the assignment could not be read or written: ${event.text}`;
    case 'vip.conflict':
      return `${event.mac} answers for ${event.address} too`;
    case 'vip.missing':
      return `${event.address} was taken from its interface by somebody`;
    case 'vip.api-server':
      return `this node’s API server is ${event.isReady ? '' : 'not '}ready: it may ${event.isReady ? '' : 'not '}have ${event.vip}`;
    case 'vip.notice':
      return event.text;
    default:
      return unreachable(event);
  }
}

function refusalDetail(refusal: { readonly kind: string; readonly mac?: string; readonly reason?: string }): string {
  const detail = refusal.mac ?? refusal.reason;
  return detail === undefined ? '' : `: ${detail}`;
}
