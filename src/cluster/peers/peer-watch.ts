/**
 * One peer: a beat after the other, each with its limit, and what they make of its state. Who is told
 * is the service's matter (serve-peers.ts).
 */
import { linkedAbort } from '../../kernel/abort.ts';
import { sleep, type Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/message-of.ts';
import type { HeartbeatLink } from './heartbeat-link.ts';
import { answerWithinMs, newPeer, stepPeer, type PeerInput, type PeerState, type PeerStep } from './peer-state.ts';

export interface PeerWatchOptions {
  readonly link: HeartbeatLink;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** How many peers are asked. */
  readonly peers: () => number;
  /** After each beat. */
  readonly onStep: (step: PeerStep) => void;
}

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function watchPeer({ link, clock, signal, peers, onStep }: PeerWatchOptions): Promise<never> {
  let state: PeerState = newPeer;
  using _link = link;
  for (;;) {
    const input = await beat(link, clock, signal);
    const step = stepPeer(state, input, { nowMs: clock.wallMs(), peers: peers() });
    state = step.state;
    onStep(step);
    await sleep(clock, step.nextInMs, signal);
  }
}

async function beat(link: HeartbeatLink, clock: Clock, parent: AbortSignal): Promise<PeerInput> {
  using limit = linkedAbort(parent);
  const late = new Error(`no answer within ${String(answerWithinMs / 1000)} s`);
  using _timer = clock.timer(answerWithinMs, () => limit.abort(late));
  const begunMs = clock.monotonicMs();
  try {
    await link.beat(limit.signal);
    return { kind: 'answered', tookMs: clock.monotonicMs() - begunMs };
  } catch (error) {
    parent.throwIfAborted();
    const isUnanswered = limit.signal.aborted || isSilence(error);
    return { kind: 'missed', reason: messageOf(error), isUnanswered };
  }
}

/** What the kernel says when it has heard nothing of the other machine. Source: connect(2), ip(7). */
function isSilence(error: unknown): boolean {
  return ['ETIMEDOUT', 'EHOSTUNREACH', 'EHOSTDOWN'].includes((error as NodeJS.ErrnoException).code ?? '');
}
