/**
 * Before a node's process ends: asks for others to take what it has, and waits for it, so that a planned end
 * is as short for clients as a planned move. It is a courtesy, and never needed for safety: what is left
 * then is withdrawn, and its Lease given back.
 */
import { sleep, type Clock } from '../kernel/clock.ts';
import type { AgentDriver } from './coordination/agent-driver.ts';
import { prepareWithinMs } from './coordination/heirs.ts';
import type { LeaseHolder } from './coordination/lease-holder.ts';
import type { OwnLease } from './own-lease.ts';

/** At most: a service manager waits for 10 s, and the withdrawal comes after. */
const withinMs = 3000;
/** Nobody has taken anything for so long: nobody will. The coordinator waits for an heir first, and has to write then. */
export const idleMs = prepareWithinMs + 500;
const lookEveryMs = 10;

export interface HandOver {
  readonly agent: Pick<AgentDriver, 'leave' | 'state'>;
  readonly own: Pick<OwnLease, 'view'>;
  readonly election: Pick<LeaseHolder, 'view'>;
  readonly clock: Clock;
}

export async function handOver({ agent, own, election, clock }: HandOver): Promise<void> {
  const isAlone = () => election.view.isOurs && agent.state.view?.standbys.length === 0;
  const isOver = () => agent.state.holdings.size === 0 || !own.view.isOurs || isAlone();
  if (isOver()) return;
  agent.leave();
  const beganMs = clock.monotonicMs();
  let seen = agent.state.view?.revision;
  let movedMs = beganMs;
  while (!isOver()) {
    const nowMs = clock.monotonicMs();
    const { view, holdings } = agent.state;
    const isLingering = [...holdings.values()].every(({ phase }) => phase !== 'open');
    if (view?.revision !== seen || isLingering) [seen, movedMs] = [view?.revision, nowMs];
    if (nowMs >= beganMs + withinMs || nowMs >= movedMs + idleMs) return;
    await sleep(clock, lookEveryMs);
  }
}
