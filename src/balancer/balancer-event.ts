/**
 * What happens in a balancer, for whoever wants to know (L6). Its process has a stream of its own;
 * logs, metrics and the decision log are folded from it.
 */
import { createStreamOf, type EventStream, type EventStreamOptions } from '../event/stream.ts';
import type { CloseReason, ServerState } from './routing-state.ts';

export type BalancerEvent =
  /** A server came (`from` absent), changed its state, or has gone (`to` absent). */
  | {
      readonly type: 'lb.server';
      readonly server: string;
      readonly isDefault: boolean;
      readonly from?: ServerState;
      readonly to?: ServerState;
      /** "failed check: 500 [-]etcd failed". */
      readonly cause: string;
    }
  /** The list changed. `kept`: no longer named, and kept until a server that is has answered. */
  | {
      readonly type: 'lb.list';
      readonly servers: readonly string[];
      readonly added: readonly string[];
      readonly removed: readonly string[];
      readonly kept: readonly string[];
      readonly refused: readonly string[];
    }
  /** An update changed nothing, because it would have left no server or has only mistakes. */
  | { readonly type: 'lb.list-refused'; readonly reason: string; readonly refused: readonly string[] }
  | { readonly type: 'lb.default'; readonly server: string | undefined; readonly refused?: string }
  /** Its connections are being closed, within the time. `count` 0 is not told. */
  | {
      readonly type: 'lb.closing';
      readonly server: string;
      readonly reason: CloseReason;
      readonly count: number;
      readonly withinMs: number;
    }
  /** It failed, and its connections were left alone because no other server is better. */
  | { readonly type: 'lb.spared'; readonly server: string; readonly count: number }
  | { readonly type: 'lb.operator'; readonly action: 'drain' | 'undrain' | 'pin' | 'unpin'; readonly server: string }
  /** Connections that went at once where they were to go, since this was last told: there may be thousands in a second. */
  | {
      readonly type: 'lb.routed';
      readonly server: string;
      /** As it was for the first of them. */
      readonly why: string;
      /** Of each: from the beginning of its dial, which is its client's coming or, if it was held, its waking. */
      readonly tookMs: readonly number[];
    }
  /** Why this server: the decision for one connection that did not go at once where it was to go. */
  | {
      readonly type: 'lb.decision';
      readonly connection: number;
      /** In the order in which they would have been tried. */
      readonly candidates: readonly { readonly server: string; readonly why: string }[];
      readonly attempts: readonly DialAttempt[];
      /** Absent: no server could be reached, and the client's connection was closed. */
      readonly chosen?: string;
      /** Of the last dial, without what the client waited before or after it. */
      readonly tookMs: number;
      readonly gaveUp?: GaveUp;
    }
  /** Something a person should know that is none of these. */
  | { readonly type: 'lb.notice'; readonly text: string };

/** Why a connection ended without a server. */
export type GaveUp = 'all servers failed' | 'no server' | 'out of time' | 'the client left';

export interface DialAttempt {
  readonly server: string;
  readonly tookMs: number;
  /** "connected", "ECONNREFUSED", "slow: overtaken after 300 ms". */
  readonly outcome: string;
}

export type BalancerEventType = BalancerEvent['type'];
export type BalancerEventOf<T extends BalancerEventType> = Extract<BalancerEvent, { type: T }>;

/** The stream of a balancer's process. */
export const balancerStream = (options: EventStreamOptions): EventStream<BalancerEvent> =>
  createStreamOf<BalancerEvent>({
    ...options,
    readerFailed: (error) => ({
      type: 'lb.notice',
      text: `internal error: an event reader failed and was detached: ${String(error)}`,
    }),
  });
