/**
 * The one place where the routing state changes: a pure function of state and input.
 *
 * The table (server-table) says what becomes of the server that an input speaks of; here is what
 * that means for the others: one is active under `sticky`, a server that has become well lets the
 * fall-back go, and one that is kept beyond its time leaves when another has shown itself.
 *
 * Every input is one atomic change (L7). What speaks of an earlier incarnation of a server, or of
 * one that has left, is never believed.
 *
 * Not here: the order of dials (candidates), performing effects (balancer), sockets, time.
 */
import { unreachable } from '../kernel/unreachable.ts';
import { applyHeartbeats } from './reduce-heartbeats.ts';
import { applyDefault, applyUpdate } from './reduce-list.ts';
import { Draft, type ReduceContext, type Step } from './routing-draft.ts';
import type { Input, ServerRef } from './routing-input.ts';
import { refOf } from './routing-input.ts';
import { isDialable, isProven, serverAt, type RoutingState, type Server } from './routing-state.ts';

/** Weight of the newest value in the moving average of dial times. */
const newestShare = 0.3;

/** Pure. An input that has no meaning in a state changes nothing. */
export function reduce(state: RoutingState, input: Input, context: ReduceContext): Step {
  const draft = new Draft(state, context);
  apply(draft, input);
  draft.settle();
  return draft.step();
}

function apply(draft: Draft, input: Input): void {
  switch (input.type) {
    case 'update':
      applyUpdate(draft, input.servers);
      return;
    case 'default':
      applyDefault(draft, input.address);
      return;
    case 'dial':
      onDial(draft, input);
      return;
    case 'check':
      onCheck(draft, input);
      return;
    case 'closed':
      onClosed(draft, input);
      return;
    case 'silent':
      // The kernel accepts for a process that is stopped: only a check tells that from a slow one.
      if (known(draft, input.server) === undefined) return;
      draft.change(input.server.address, { mutedAtMs: draft.nowMs });
      draft.input(input.server.address, 'fell silent', 'silent connection');
      draft.effect({ type: 'recheck', server: input.server });
      return;
    case 'heartbeats':
      applyHeartbeats(draft, input);
      return;
    case 'drain':
    case 'undrain':
    case 'pin':
    case 'unpin':
      onOperator(draft, input);
      return;
    default:
      unreachable(input);
  }
}

type InputOf<T extends Input['type']> = Extract<Input, { type: T }>;

/** The server that an answer speaks of, unless it speaks of an earlier one of that address. */
function known(draft: Draft, { address, incarnation }: ServerRef): Server | undefined {
  const server = serverAt(draft, address);
  return server?.incarnation === incarnation ? server : undefined;
}

function onDial(draft: Draft, input: InputOf<'dial'>): void {
  const server = known(draft, input.server);
  if (server === undefined || !isDialable(server)) {
    if (input.outcome === 'ok') draft.effect({ type: 'discard', server: input.server });
    return;
  }
  const { address } = server;
  switch (input.outcome) {
    case 'ok':
      draft.change(address, {
        connections: server.connections + 1,
        closingByMs: undefined,
        dialledAtMs: draft.nowMs,
        dialMs: averaged(server.dialMs, input.tookMs),
      });
      draft.input(address, 'dial ok', 'successful dial');
      return;
    case 'late':
      draft.change(address, { dialMs: averaged(server.dialMs, input.tookMs) });
      draft.input(address, 'dial late', 'late dial');
      return;
    case 'slow':
      draft.input(address, 'dial slow', 'slow dial');
      draft.effect({ type: 'recheck', server: input.server });
      return;
    case 'failed':
      draft.failure(address, 'dial', input.reason);
      // Begun before the server came back: of what it is now it says nothing.
      if (isProven(server) && draft.nowMs - input.tookMs < server.sinceMs) return;
      draft.input(address, 'dial failed', `failed dial: ${input.reason}`);
      return;
    default:
      unreachable(input);
  }
}

const averaged = (before: number | undefined, tookMs: number): number =>
  before === undefined ? tookMs : before + newestShare * (tookMs - before);

function onCheck(draft: Draft, input: InputOf<'check'>): void {
  const server = known(draft, input.server);
  if (server === undefined || !isDialable(server)) return;
  if (input.outcome === 'ok') {
    draft.change(server.address, { brokenInARow: 0, answeredAtMs: draft.nowMs });
    draft.input(server.address, 'check ok', 'successful check');
  } else {
    const { reason, silentForMs } = input;
    draft.failure(server.address, 'check', reason, silentForMs === undefined ? undefined : draft.nowMs - silentForMs);
    draft.input(server.address, 'check failed', `failed check: ${input.reason}`);
  }
}

function onClosed(draft: Draft, { server: ref, broken }: InputOf<'closed'>): void {
  const server = known(draft, ref);
  if (server === undefined || server.connections === 0) return;
  const { address } = server;
  const brokenInARow = broken === undefined ? 0 : server.brokenInARow + 1;
  draft.change(address, { connections: server.connections - 1, brokenInARow });
  if (broken !== undefined && isDialable(server)) {
    draft.failure(address, 'connection', broken);
    draft.input(address, 'connection broken', `broken connection: ${broken}`);
    draft.effect({ type: 'recheck', server: ref });
  }
  if (server.connections === 1) draft.input(address, 'last closed', 'its last connection has ended');
}

function onOperator(draft: Draft, input: InputOf<'drain' | 'undrain' | 'pin' | 'unpin'>): void {
  if (input.type === 'unpin') {
    if (draft.pinned !== undefined) draft.tell({ type: 'lb.operator', action: 'unpin', server: draft.pinned });
    draft.pinned = undefined;
    return;
  }
  const server = serverAt(draft, input.address);
  if (server === undefined || !isDialable(server)) return;
  const { address } = server;
  draft.tell({ type: 'lb.operator', action: input.type, server: address });
  switch (input.type) {
    case 'drain':
      draft.change(address, { isDraining: true });
      if (draft.hasAlternative(address)) draft.effect({ type: 'abandon', server: refOf(server) });
      draft.close(address, 'drained', input.graceMs ?? draft.rules.graces.drainedMs);
      return;
    case 'undrain':
      draft.change(address, { isDraining: false, closingByMs: undefined });
      draft.effect({ type: 'keep', server: refOf(server) });
      return;
    case 'pin':
      draft.pinned = address;
      if (!isProven(server)) return;
      for (const other of draft.servers) {
        if (other.address !== address) draft.close(other.address, 'takeover', draft.rules.graces.takeoverMs);
      }
      return;
    default:
      unreachable(input);
  }
}
