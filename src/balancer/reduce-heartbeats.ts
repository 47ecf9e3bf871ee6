/**
 * What heartbeats between machines say of servers: the part of `reduce` that takes them.
 *
 * They are an observation beside the checks, of the machine and not of what runs on it. So they tell a
 * machine that is gone from one whose API only waits, as all do while etcd elects, and what they say
 * stands until they say otherwise: a check that goes well takes nothing of it back, and a machine that
 * is heard again nothing of what a check has said.
 */
import type { Draft } from './routing-draft.ts';
import { refOf } from './routing-input.ts';
import { isUnheard, unheardSince, type Heartbeats } from './routing-state.ts';
import { hostOfServer } from '../probe/connection.ts';

export function applyHeartbeats(draft: Draft, { lost }: Heartbeats): void {
  draft.heartbeats = { lost };
  const before = draft.servers;
  // All of them first: for each one that is lost it is asked who is left.
  for (const server of before) {
    draft.change(server.address, { unheardSinceMs: unheardSince(server, draft.heartbeats, draft.nowMs) });
  }
  for (const server of before) {
    const isLost = lost.includes(hostOfServer(server.address));
    if (isLost === isUnheard(server)) continue;
    if (isLost) {
      draft.silence(server.address);
      continue;
    }
    draft.change(server.address, { isReprieved: false });
    draft.effect({ type: 'recheck', server: refOf(server) });
  }
}
