/** Answers of a balancer for people. Pure. */
import pc from 'picocolors';
import type { BalancerEvent } from '../../balancer/balancer-event.ts';
import { eventText } from '../../balancer/event-text.ts';
import { printable } from '../../error/text.ts';
import { formatDurationMs } from '../../kernel/duration.ts';
import type { WireLine, WireExplanation, WireList, WireServer, WireSimulation } from './lb-client.ts';
import { paintedTable } from './painted-table.ts';

export function renderServers(lists: readonly WireList[], colour: boolean): string {
  return lists.map((list) => renderList(list, colour)).join('\n');
}

function renderList({ name, listen, policy, servers }: WireList, colour: boolean): string {
  const { bold } = pc.createColors(colour);
  return `${bold(name)} on ${listen}, ${policy}\n${serverTable(servers, colour)}`;
}

function serverTable(servers: readonly WireServer[], colour: boolean): string {
  if (servers.length === 0) return '  no servers\n';
  const { green, red, yellow, dim } = pc.createColors(colour);
  const paint = ({ state }: WireServer) => {
    if (state === 'failed' || state === 'invalid') return red;
    return state === 'active' || state === 'preferred' || state === 'healthy' ? green : yellow;
  };
  const rows = servers.map((server) => ({
    cells: [
      server.address,
      [server.state, ...server.marks].join(', '),
      formatDurationMs(server.forMs),
      String(server.connections),
      String(server.weight),
      server.dialMs === undefined ? '-' : formatDurationMs(server.dialMs),
      lastErrorOf(server),
    ],
    paint: paint(server),
  }));
  const header = ['SERVER', 'STATE', 'FOR', 'CONNS', 'WEIGHT', 'DIAL', 'LAST ERROR'];
  const lines = paintedTable({ header, rows, painted: 1, dim });
  return lines.map((line) => `  ${line}\n`).join('');
}

function lastErrorOf({ lastError }: WireServer): string {
  if (lastError === undefined) return '-';
  return printable(`${lastError.source}: ${lastError.reason} (${formatDurationMs(lastError.agoMs)} ago)`);
}

export function renderExplanation({ name, policy, candidates, excluded }: WireExplanation): string {
  const lines = candidates.map(({ server, why }, place) => `  ${String(place + 1)}. ${server}: ${why}`);
  const never = excluded.map(({ server, why }) => `  -  ${server}: ${why}`);
  const body = lines.length === 0 ? ['  there is no server to dial'] : lines;
  const title = `${name}, ${policy}: the next connection is tried in this order`;
  return [title, ...body, ...never].map((line) => `${printable(line)}\n`).join('');
}

export function renderSimulation({ steps, servers }: WireSimulation): string {
  const told = steps.flatMap(({ what, events, next }) => [
    `${stepText(what)}:`,
    ...linesOf(events).map((line) => `  ${line}`),
    `  the next connection goes to ${next ?? 'nobody'}`,
  ]);
  return `${told.map((line) => `${printable(line)}\n`).join('')}then:\n${serverTable(servers, false)}`;
}

function stepText(what: WireSimulation['steps'][number]['what']): string {
  const { server, servers } = what as { readonly server?: unknown; readonly servers?: unknown };
  const about = Array.isArray(servers) ? servers.join(',') : typeof server === 'string' ? server : '';
  return about === '' ? what.what : `${what.what}=${about}`;
}

const linesOf = (events: readonly { readonly type: string }[]): readonly string[] =>
  events.flatMap((event) => textOf(event) ?? []);

/** A newer balancer may know events that this command does not. */
function textOf(event: { readonly type: string }): string | undefined {
  try {
    return eventText(event as BalancerEvent);
  } catch {
    return event.type;
  }
}

/** Empty for what is not worth a line. */
export function renderEvent(line: WireLine): string {
  if ('dropped' in line) return `${String(line.dropped)} events are no longer kept\n`;
  const text = textOf(line.event);
  const { seq, wallMs } = line;
  return text === undefined ? '' : `${String(seq)}  ${new Date(wallMs).toISOString()}  ${printable(text)}\n`;
}
