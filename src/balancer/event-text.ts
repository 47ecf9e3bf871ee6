/** A balancer's event as one line for people; undefined: nothing worth a line in the log of a healthy day. */
import { formatDurationMs } from '../kernel/duration.ts';
import { unreachable } from '../kernel/unreachable.ts';
import type { BalancerEvent, BalancerEventOf } from './balancer-event.ts';

export function eventText(event: BalancerEvent): string | undefined {
  switch (event.type) {
    case 'lb.server': {
      const { server, isDefault, from = 'new', to = 'gone', cause } = event;
      return `server ${server}${isDefault ? '*' : ''} ${from} -> ${to}: ${cause}`;
    }
    case 'lb.list':
      return `list: ${event.servers.join(', ')}${listChanges(event)}`;
    case 'lb.list-refused':
      return `an update was refused: ${[event.reason, ...event.refused].join('; ')}`;
    case 'lb.default':
      return event.refused === undefined
        ? `default: ${event.server ?? 'none'}`
        : `the default was refused: ${event.refused}`;
    case 'lb.closing': {
      const { server, count, reason, withinMs } = event;
      return `closing ${String(count)} connections to ${server} (${reason})${withinMs === 0 ? '' : ` within ${formatDurationMs(withinMs)}`}`;
    }
    case 'lb.spared':
      return `${event.server} looks down, but nothing else is better: its ${String(event.count)} connections go on`;
    case 'lb.operator':
      return `${event.action} ${event.server}`;
    case 'lb.decision':
      return decisionText(event);
    case 'lb.routed':
      return undefined; // It is what a healthy day is made of.
    case 'lb.notice':
      return event.text;
    default:
      return unreachable(event);
  }
}

function listChanges({ added, removed, kept, refused }: BalancerEventOf<'lb.list'>): string {
  const parts = [
    added.length > 0 ? `added ${added.join(', ')}` : '',
    removed.length > 0 ? `removed ${removed.join(', ')}` : '',
    kept.length > 0 ? `kept until one of them answers ${kept.join(', ')}` : '',
    refused.length > 0 ? `refused ${refused.join('; ')}` : '',
  ].filter((part) => part !== '');
  return parts.length === 0 ? '' : ` (${parts.join('; ')})`;
}

/** Says what happened at each server. */
function decisionText({
  connection,
  attempts,
  chosen,
  gaveUp,
  tookMs,
}: BalancerEventOf<'lb.decision'>): string | undefined {
  if (gaveUp === 'the client left' || (gaveUp === undefined && attempts.length <= 1)) return undefined;
  const tried = attempts.map(({ server, outcome, tookMs: ms }) => `${server} ${outcome} (${formatDurationMs(ms)})`);
  if (gaveUp !== undefined) {
    return `connection ${String(connection)} found no server (${gaveUp}) in ${formatDurationMs(tookMs)}${tried.length === 0 ? '' : `: ${tried.join(', ')}`}`;
  }
  return `connection ${String(connection)} went to ${chosen ?? ''} after ${formatDurationMs(tookMs)}: ${tried.join(', ')}`;
}
