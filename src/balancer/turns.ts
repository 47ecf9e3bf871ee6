/**
 * Who has spoken last on a connection, and so whether its client waits for an answer, as far as one can tell
 * without looking into what is said.
 *
 * With TLS 1.3 that says nothing of the first request: it comes with the end of the handshake, and the server's
 * next words are tickets. What it says a moment later is the answer.
 *
 * With HTTP/2 it says nothing of any: both sides say more than requests and answers (settings, windows, pings), and
 * what the server says may answer one request while others wait on the same connection. Sizes do not tell, either: a
 * request whose headers were said before is as short as a ping. So a client who may speak it always waits.
 */
import { isTls, longestHelloBytes, mayShare } from './client-hello.ts';

/** A TLS server says it at once: its tickets for resuming, one write. */
const ticketsWithinMs = 5;
/** An answer that came together with the tickets cannot be told from them: after this it is taken for given. */
const firstAnswerWithinMs = 5_000;

const nothing = Buffer.alloc(0);

export interface Turns {
  readonly isAsking: boolean;
  clientSpoke(chunk: Buffer): void;
  serverSpoke(): void;
}

/** @param nowMs - monotonic */
export function turnsOf(nowMs: () => number): Turns {
  let last: 'client' | 'server' | undefined;
  let ofClient = 0;
  let heardAtMs: number | undefined;
  let isAnswered = false;
  /** What the client has said before its server did. */
  let greeting: Buffer | undefined = nothing;
  let isSecret = false;
  let isShared = false;
  return {
    get isAsking() {
      if (last === 'client' || isShared) return true;
      const isYoung = heardAtMs === undefined || nowMs() - heardAtMs < firstAnswerWithinMs;
      return isSecret && !isAnswered && ofClient <= 2 && isYoung;
    },
    clientSpoke(chunk) {
      if (last !== 'client') ofClient += 1;
      last = 'client';
      if (greeting === undefined) return;
      // As a rule it is one chunk, which is not copied.
      if (greeting.length < longestHelloBytes)
        greeting = greeting.length === 0 ? chunk : Buffer.concat([greeting, chunk]);
    },
    serverSpoke() {
      last = 'server';
      if (greeting !== undefined) {
        isSecret = isTls(greeting);
        isShared = mayShare(greeting);
        greeting = undefined;
      }
      if (!isSecret || isAnswered || ofClient !== 2) return;
      heardAtMs ??= nowMs();
      isAnswered = nowMs() - heardAtMs > ticketsWithinMs;
    },
  };
}
