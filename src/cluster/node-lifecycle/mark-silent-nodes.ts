/**
 * One pass over the nodes that are silent: each with its own limit and its own troubles, so that none keeps another
 * from being judged, and all of it short, because whoever looks has to see soon whether a controller-manager is back.
 */
import { messageOf } from '../../kernel/message-of.ts';
import { saidOnce } from '../../kernel/said-once.ts';
import { apiInTime } from '../api-in-time.ts';
import type { SilentNode } from './judge-nodes.ts';
import { markNode, type MarkNodePorts, type NodeConditionsClient } from './mark-node.ts';

export interface SilentNodePorts extends Omit<MarkNodePorts, 'client'> {
  /** For how long one that was written, or has spoken, is left alone. */
  readonly graceMs: number;
}

/** No node is begun later in a pass: with a node's own limit and the next pause, looks have no gap. */
const passMs = 4_000;
/** For all that one node takes. */
const nodeWithinMs = 5_000;

interface Judged {
  /** When it was last seen to be Unknown, or to have a kubelet that lives. */
  settledMs: number;
  /** 0: not yet. */
  triedMs: number;
  hasPodsLeft: boolean;
  readonly say: (line: string | undefined) => void;
}

/** @returns a pass: over `silent`, found by what began at `begunMs` */
export function silentNodeMarker({
  graceMs,
  ...ports
}: SilentNodePorts): (client: NodeConditionsClient, silent: readonly SilentNode[], begunMs: number) => Promise<void> {
  const { clock, log, signal } = ports;
  let all = new Map<string, Judged>();

  const judge = async (client: NodeConditionsClient, node: SilentNode, state: Judged): Promise<void> => {
    // One that has been believed again since, without a Lease, has a kubelet that lives by its status: for the grace.
    const isSpared = clock.monotonicMs() - state.settledMs < graceMs;
    if (isSpared && !state.hasPodsLeft) return;
    state.triedMs = clock.monotonicMs();
    const settle = () => {
      state.settledMs = clock.monotonicMs();
    };
    const marked = () => {
      settle();
      state.hasPodsLeft = true;
    };
    try {
      const outcome = await apiInTime({ limitMs: nodeWithinMs, clock, signal }, (end) =>
        markNode(node, isSpared, marked, { ...ports, client, signal: end }),
      );
      if (!isSpared && outcome !== 'gone') settle();
      state.hasPodsLeft = outcome === 'pods-left';
      state.say(undefined);
    } catch (error) {
      signal.throwIfAborted();
      state.say(`node ${node.name} cannot be marked as silent: ${messageOf(error)}`);
    }
  };

  return async (client, silent, begunMs) => {
    const fresh = (): Judged => ({ settledMs: -Infinity, triedMs: 0, hasPodsLeft: false, say: saidOnce(log) });
    const judged = silent.map((node) => ({ node, state: all.get(node.name) ?? fresh() }));
    all = new Map(judged.map(({ node, state }) => [node.name, state]));
    // Whose turn did not come in the last pass is first in this one.
    const inTurn = judged.sort((one, other) => one.state.triedMs - other.state.triedMs);
    for (const { node, state } of inTurn) {
      if (clock.monotonicMs() - begunMs > passMs) return;
      await judge(client, node, state);
    }
  };
}
