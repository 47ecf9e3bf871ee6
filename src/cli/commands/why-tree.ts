/** `why` as text: a tree with the unit at its root and what it waits for below. Pure. */
import { createColors } from 'picocolors';
import type { WhyReply, WhyTree } from '../../control/protocol.ts';
import { oneLine } from '../../error/render.ts';
import { singleLine, wrapWords } from '../../error/text.ts';
import { formatDurationMs } from '../../kernel/duration.ts';

export interface WhyStyle {
  readonly colour: boolean;
  /** Without it nothing is wrapped. */
  readonly width?: number;
}

/**
 * ```
 * kubelet is blocked, for 12 s
 * ├─ containerd ready, for 14 s (hard)
 * └─ kube-apiserver blocked, for 12 s (hard, closed)
 *    └─ etcd failed, for 12 s (hard, closed), next try in 18 s
 *       etcd exited with code 1: bind: address already in use
 * root cause: …
 * ```
 */
export function renderWhy({ tree, roots }: WhyReply, { colour, width }: WhyStyle): string {
  const style = createColors(colour);
  const lines: string[] = [];
  const text = (content: string, indent: string) =>
    lines.push(
      ...(width === undefined ? [content] : wrapWords(content, Math.max(20, width - indent.length))).map(
        (line) => `${indent}${line}`,
      ),
    );

  const facts = (node: WhyTree, indent: string) => {
    for (const fact of factsOf(node)) text(fact, indent);
    const { gates } = node;
    for (const [at, gate] of gates.entries()) {
      const isLast = at === gates.length - 1;
      const notes = [gate.kind, ...(gate.isOpen ? [] : ['closed'])].join(', ');
      const paint = gate.isOpen ? style.dim : style.yellow;
      const how = gate.why?.stoppedByUser === true ? ' by the user' : '';
      const head = `${gate.unit} ${gate.state}${how}, for ${formatDurationMs(gate.forMs)} (${notes})`;
      lines.push(`${indent}${isLast ? '└─' : '├─'} ${paint(head)}`);
      if (gate.why !== undefined) facts(gate.why, `${indent}${isLast ? '  ' : '│ '} `);
    }
  };

  lines.push(style.bold(headOf(tree)));
  facts(tree, '');
  if (tree.holdsUp.length > 0) {
    const held = tree.holdsUp.map(({ unit, kind, state }) => `${unit} (${kind}, ${state})`).join(', ');
    text(style.yellow(`holds up: ${held}`), '');
  }
  if (tree.stopsAfter.length > 0) {
    const first = tree.stopsAfter.map(({ unit, state, forMs }) => `${unit} (${state}, for ${formatDurationMs(forMs)})`);
    text(style.yellow(`is to stop, and waits until these have: ${first.join(', ')}`), '');
  }
  for (const { unit, line, hint } of roots) {
    text(style.red(`root cause: ${line.includes(unit) ? line : `${unit}: ${line}`}`), '');
    if (hint !== undefined) text(style.cyan(`hint: ${hint}`), '  ');
  }
  return lines.join('\n');
}

function headOf({ unit, state, forMs, pid, restarts, desired, stoppedByUser }: WhyTree): string {
  const how = stoppedByUser === true ? ' by the user' : '';
  const parts = [`${unit} is ${state}${how}${state === 'inactive' ? '' : `, for ${formatDurationMs(forMs)}`}`];
  if (pid !== undefined) parts.push(`pid ${String(pid)}`);
  if (restarts > 0) parts.push(`${String(restarts)} restart${restarts === 1 ? '' : 's'}`);
  if (desired === 'down' && stoppedByUser !== true) parts.push('not wanted up');
  return parts.join(', ');
}

function factsOf({ state, status, lastCheck, error, lastFailure, nextRetryInMs, degraded }: WhyTree): string[] {
  const facts: string[] = [];
  if (status !== undefined) facts.push(`says: ${singleLine(status)}`);
  if (lastCheck !== undefined) facts.push(`last check: ${singleLine(lastCheck)}`);
  // What blocks a unit is told below it; only an error of its own is told here.
  if (error !== undefined && state !== 'blocked') facts.push(`last error: ${oneLine(error)}`);
  if (lastFailure !== undefined) {
    facts.push(`last failure, ${formatDurationMs(lastFailure.agoMs)} ago: ${singleLine(lastFailure.text)}`);
  }
  if (nextRetryInMs !== undefined) facts.push(`next try in ${formatDurationMs(nextRetryInMs)}`);
  for (const { unit, kind, reason, cause } of degraded) {
    const why = cause === undefined ? '' : `: ${oneLine(cause)}`;
    facts.push(`degraded: without ${unit} (${kind}), ${reason}${why}`);
  }
  return facts;
}
