/** What the balancer is told, and what it answers: the inputs and effects of `reduce`. */
import type { BalancerEvent } from './balancer-event.ts';
import type { Heartbeats, Server } from './routing-state.ts';

/** An entry of the list; a removed and added server is another one. */
export interface ServerRef {
  readonly address: string;
  readonly incarnation: number;
}

export interface ServerSpec {
  readonly address: string;
  readonly weight?: number | undefined;
}

export type DialOutcome =
  /** Connected, and the client has it: one connection more. */
  | { readonly outcome: 'ok'; readonly tookMs: number }
  /** Not connected yet while another server already was; `late` or `failed` follows. */
  | { readonly outcome: 'slow' }
  | { readonly outcome: 'late'; readonly tookMs: number }
  | { readonly outcome: 'failed'; readonly reason: string; readonly tookMs: number };

export interface FailedCheck {
  readonly outcome: 'failed';
  readonly reason: string;
  /** It has said nothing for so long; absent when it has said no. */
  readonly silentForMs?: number | undefined;
}

export type Input =
  /** The whole list, from whoever discovers servers. */
  | { readonly type: 'update'; readonly servers: readonly ServerSpec[] }
  /** The server to try when nothing of the list can be. */
  | { readonly type: 'default'; readonly address: string | undefined }
  | ({ readonly type: 'dial'; readonly server: ServerRef } & DialOutcome)
  | { readonly type: 'check'; readonly server: ServerRef; readonly outcome: 'ok'; readonly tookMs: number }
  | ({ readonly type: 'check'; readonly server: ServerRef } & FailedCheck)
  /** A connection of a client has ended. `broken`: by the server's fault, as far as one can see. */
  | { readonly type: 'closed'; readonly server: ServerRef; readonly broken?: string | undefined }
  /** It accepted a connection, was told something, and has not said a word since. */
  | { readonly type: 'silent'; readonly server: ServerRef }
  /** Of all machines, whenever anything of it changes. */
  | ({ readonly type: 'heartbeats' } & Heartbeats)
  | { readonly type: 'drain'; readonly address: string; readonly graceMs?: number | undefined }
  | { readonly type: 'undrain'; readonly address: string }
  | { readonly type: 'pin'; readonly address: string }
  | { readonly type: 'unpin' };

export type Effect =
  /** A server came into the list: begin to check it. */
  | { readonly type: 'enter'; readonly server: ServerRef }
  /** It has left: end its checks. */
  | { readonly type: 'leave'; readonly server: ServerRef }
  /** Give up dials of it that are under way; those clients go to the next one. */
  | { readonly type: 'abandon'; readonly server: ServerRef }
  /** Ask it now, something about it is odd. */
  | { readonly type: 'recheck'; readonly server: ServerRef }
  /** Close all its connections: at once when the time is 0, else each when it is idle and at the latest then. */
  | { readonly type: 'close'; readonly server: ServerRef; readonly withinMs: number }
  /** Let its connections go on after all. */
  | { readonly type: 'keep'; readonly server: ServerRef }
  /** The connection that was just reported is not wanted: its server has left meanwhile. */
  | { readonly type: 'discard'; readonly server: ServerRef }
  | { readonly type: 'tell'; readonly event: BalancerEvent };

export const refOf = ({ address, incarnation }: Server): ServerRef => ({ address, incarnation });
