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
  /** After each beat. */
  readonly onStep: (step: PeerStep) => void;
}

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function watchPeer({ link, clock, signal, onStep }: PeerWatchOptions): Promise<never> {
  let state: PeerState = newPeer;
  using _link = link;
  for (;;) {
    const input = await beat(link, clock, signal);
    const step = stepPeer(state, input, clock.wallMs());
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
    return { kind: 'missed', reason: messageOf(error) };
  }
}
