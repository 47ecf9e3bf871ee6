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
/** Who has just connected is about to speak, and would take an end of the connection for an answer to it. */
const firstWordsWithinMs = 1_000;
/** An answer that came together with the tickets cannot be told from them: after this it is taken for given. */
const firstAnswerWithinMs = 5_000;

const nothing = Buffer.alloc(0);

export class Turns {
  readonly #nowMs: () => number;
  readonly #bornMs: number;
  #last: 'client' | 'server' | undefined;
  #ofClient = 0;
  #heardAtMs: number | undefined;
  #isAnswered = false;
  /** What the client has said before its server did. */
  #greeting: Buffer | undefined = nothing;
  #isSecret = false;
  #isShared = false;

  /** @param nowMs - monotonic */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#bornMs = nowMs();
  }

  get isAsking(): boolean {
    if (this.#last === 'client' || this.#isShared) return true;
    if (this.#last === undefined) return this.#nowMs() - this.#bornMs < firstWordsWithinMs;
    const isYoung = this.#heardAtMs === undefined || this.#nowMs() - this.#heardAtMs < firstAnswerWithinMs;
    return this.#isSecret && !this.#isAnswered && this.#ofClient <= 2 && isYoung;
  }

  clientSpoke(chunk: Buffer): void {
    if (this.#last !== 'client') this.#ofClient += 1;
    this.#last = 'client';
    const greeting = this.#greeting;
    if (greeting === undefined || greeting.length >= longestHelloBytes) return;
    // As a rule it is one chunk, which is not copied.
    this.#greeting = greeting.length === 0 ? chunk : Buffer.concat([greeting, chunk]);
  }

  serverSpoke(): void {
    this.#last = 'server';
    if (this.#greeting !== undefined) {
      this.#isSecret = isTls(this.#greeting);
      this.#isShared = mayShare(this.#greeting);
      this.#greeting = undefined;
    }
    if (!this.#isSecret || this.#isAnswered || this.#ofClient !== 2) return;
    this.#heardAtMs ??= this.#nowMs();
    this.#isAnswered = this.#nowMs() - this.#heardAtMs > ticketsWithinMs;
  }
}
