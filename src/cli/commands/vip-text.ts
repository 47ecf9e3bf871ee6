/** Answers about virtual IPs for people. Pure. */
import pc from 'picocolors';
import { printable } from '../../error/text.ts';
import { formatDurationMs } from '../../kernel/duration.ts';
import type { ExplainAnswer, OperateAnswer, PlanAnswer, StatusAnswer } from '../../vip/control-model.ts';
import { paintedTable } from './painted-table.ts';

export function renderVipStatus(status: StatusAnswer, colour: boolean): string {
  return [...headLines(status), '', ...nodeLines(status, colour), '', ...addressLines(status, colour)]
    .map((line) => `${line}\n`)
    .join('');
}

function headLines(status: StatusAnswer): string[] {
  const { node, leaseGood, coordinator, epoch, imbalance, window, addresses } = status;
  const without = addresses.filter(({ owner }) => owner === undefined).length;
  return [
    `${String(addresses.length)} addresses, imbalance ${imbalance.toFixed(2)}${without === 0 ? '' : `, ${String(without)} without a node`}`,
    `coordinator ${coordinator ?? 'none'}, epoch ${String(epoch)}; ${node} ${leaseGood ? 'may answer' : 'may not answer: its Lease is not good'}`,
    ...(status.election === 'per-service' ? [electedText] : [windowText(window)]),
    ...otherwiseText(status),
  ].map(printable);
}

const electedText = 'each address is elected by itself, nothing is moved for balance';

function otherwiseText({ election = 'coordinator', toldOtherwise = [] }: StatusAnswer): string[] {
  if (toldOtherwise.length === 0) return [];
  const names = toldOtherwise.join(', ');
  return [
    `--vip-election is ${election} in this cluster, and was given otherwise to ${names}: restart what is to change`,
  ];
}

function windowText(window: StatusAnswer['window']): string {
  if (window === undefined) return 'voluntary moves at any time';
  const change = window.changesInMs === undefined ? '' : ` for ${formatDurationMs(window.changesInMs)}`;
  return `maintenance window ${window.isOpen ? 'open' : 'closed'}${change}`;
}

function nodeLines({ nodes }: StatusAnswer, colour: boolean): readonly string[] {
  const { green, red, yellow, dim } = pc.createColors(colour);
  const rows = nodes.map(({ name, state, held, load, fairShare, capacity, penalty, leaseLeftMs }) => ({
    cells: [
      printable(name),
      penalty > 0 ? `${state}, flaps` : state,
      String(held),
      figure(load),
      fairShare === undefined ? '-' : figure(fairShare),
      figure(capacity),
      leaseLeftMs === undefined ? '-' : formatDurationMs(Math.max(0, leaseLeftMs)),
    ],
    paint: state === 'ready' ? green : state === 'dead' ? red : yellow,
  }));
  return paintedTable({
    header: ['NODE', 'STATE', 'HELD', 'LOAD', 'SHARE', 'CAPACITY', 'LEASE'],
    rows,
    painted: 1,
    dim,
  });
}

function addressLines({ addresses }: StatusAnswer, colour: boolean): readonly string[] {
  if (addresses.length === 0) return ['no addresses'];
  const { green, red, yellow, dim } = pc.createColors(colour);
  const rows = addresses.map(({ address, owner, state, next, generation, services, pinnedTo }) => ({
    cells: [
      printable(address),
      next === undefined ? state : `${state}, then ${printable(next)}`,
      printable(owner ?? '-'),
      generation === undefined ? '-' : String(generation),
      printable([...services, ...(pinnedTo === undefined ? [] : [`(pinned to ${pinnedTo})`])].join(', ')),
    ],
    paint: state === 'granted' ? green : state === 'unassigned' ? red : yellow,
  }));
  return paintedTable({ header: ['ADDRESS', 'STATE', 'NODE', 'GENERATION', 'SERVICES'], rows, painted: 1, dim });
}

export function renderVipPlan({ moves, waiting, unassigned, violations, imbalance, election }: PlanAnswer): string {
  const lines = [
    ...moves.map((move) => `now      ${moveText(move)}`),
    ...waiting.map((move) => `waits    ${moveText(move)}: for ${waitText[move.until]}`),
    ...unassigned.map((address) => `nobody   ${address}: no eligible node`),
    ...violations.map(({ kind, address }) => `broken   ${address}: ${ruleText[kind]}`),
  ];
  if (election === 'per-service') lines.push(electedText);
  else if (moves.length + waiting.length === 0) lines.push('nothing is to be moved');
  lines.push(`imbalance ${imbalance.now.toFixed(2)}, afterwards ${imbalance.afterwards.toFixed(2)}`);
  return lines.map((line) => `${printable(line)}\n`).join('');
}

const waitText = { window: 'a maintenance window', pace: 'moves before it', rest: 'its rest after the last move' };
const ruleText = {
  group: 'too many of its group on the node',
  together: 'apart from what belongs to it',
  preferred: 'not on a node that it prefers',
};

const moveText = ({ address, from, to, reason }: PlanAnswer['moves'][number]): string =>
  `${address} ${from === undefined ? '' : `from ${from} `}to ${to} (${reason})`;

export function renderVipExplanation(explained: ExplainAnswer, colour: boolean): string {
  const { address, owner, verdict, nodes, election } = explained;
  const { green, dim } = pc.createColors(colour);
  const rows = nodes.map(({ name, may, load, cost, why }) => ({
    cells: [printable(name), may ? 'yes' : 'no', figure(load), cost === undefined ? '-' : figure(cost), printable(why)],
    paint: (cell: string) => (name === owner ? green(cell) : cell),
  }));
  const table = paintedTable({ header: ['NODE', 'MAY', 'LOAD', 'COST', 'WHY'], rows, painted: 0, dim });
  const elected = election === 'per-service' ? [electedText] : [];
  return [printable(`${address} is on ${owner ?? 'no node'}: ${verdict}`), ...elected, ...table]
    .map((line) => `${line}\n`)
    .join('');
}

export const renderOperated = ({ asked, plan, notes = [] }: OperateAnswer): string =>
  [asked, ...notes].map((line) => `${printable(line)}\n`).join('') + renderVipPlan(plan);

const figure = (value: number): string => String(Math.round(value * 100) / 100);
