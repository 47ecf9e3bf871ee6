/**
 * The port between routing and bytes. A forwarder accepts connections, asks `Routes` where to, and
 * tells what became of it; it decides nothing. So it can be replaced (by another event loop, by the
 * kernel) without touching the routing state, and that can be tested without a socket.
 */
import type { Candidate } from './candidates.ts';
import type { DialAttempt, GaveUp } from './balancer-event.ts';
import type { DialOutcome, ServerRef } from './routing-input.ts';

/** What a forwarder asks and tells. */
export interface Routes {
  /** In which order servers are to be tried now. Asked before each dial: the list may have changed since the last. */
  candidates(): readonly Candidate[];
  /** @returns false if the connection is not wanted any more and must be closed; it is not counted then */
  dialled(server: ServerRef, outcome: DialOutcome): boolean;
  /** One that `dialled` took has ended. `broken`: the server's fault, as far as one can see. */
  closed(server: ServerRef, ending: { readonly broken?: string | undefined }): void;
  /** It was connected and told something, and has not said a word for {@link silenceMs}. */
  silent(server: ServerRef): void;
  decided(decision: Decision): void;
  /** At least one server has answered since it was new or failed. */
  isReachable(): boolean;
}

/** A TLS server greets back within a round trip and some milliseconds. */
export const silenceMs = 250;

export interface Decision {
  readonly candidates: readonly Candidate[];
  readonly attempts: readonly DialAttempt[];
  readonly chosen?: ServerRef;
  readonly tookMs: number;
  readonly gaveUp?: GaveUp;
}

export interface ListenAddress {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
}

export interface ForwarderCounts {
  /** Of clients, those that are still being connected included. */
  readonly connections: number;
  /** Since the start: bytes from clients, and to them, of connections that have ended. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Connections refused because there were too many. */
  readonly refused: number;
}

export interface Forwarder extends AsyncDisposable {
  readonly address: ListenAddress;
  counts(): ForwarderCounts;
  /** Closes a server's connections: at once when the time is 0, else each when it is idle and at the latest then. */
  closeConnections(server: ServerRef, withinMs: number): void;
  /** Lets them go on after all. */
  keepConnections(server: ServerRef): void;
  /** A server answers where none did: whoever is kept waiting is dialled for again. */
  dialHeld(): void;
  /** Gives up dials to a server that are under way. */
  abandonDials(server: ServerRef): void;
}
