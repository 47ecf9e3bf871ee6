/**
 * Two TCP connections as if they were one: bytes, back-pressure, half-closes (FIN) and resets (RST)
 * go through as they come, in both directions. Nothing is looked into, TLS least of all, and an idle
 * connection stays for as long as both ends like.
 *
 * Both sockets must allow half-open ends.
 */
import type { Socket } from 'node:net';

export interface Spliced {
  /** Bytes that have come from the client, and from the server. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /**
   * The client waits for an answer, as far as one can tell without looking into it: it has spoken last, or what
   * the server has said since belongs to the beginning of TLS.
   */
  readonly isAsking: boolean;
  close(): void;
}

export interface SpliceOptions {
  readonly client: Socket;
  readonly server: Socket;
  /** What the client said while its server was still being dialled. */
  readonly early: readonly Buffer[];
  /** Monotonic. */
  readonly nowMs: () => number;
  /** Once, when both are closed. `broken`: how the server broke the connection, if it did. */
  onEnd(ending: { readonly broken?: string }): void;
}

export function splice({ client, server, early, nowMs, onEnd }: SpliceOptions): Spliced {
  let broken: string | undefined;
  let open = 2;
  let isClosing = false;
  const turns = turnsOf(nowMs);
  if (early[0] !== undefined) turns.clientSpoke(early[0]);

  const onClose = () => {
    open -= 1;
    if (open === 0) onEnd(broken === undefined ? {} : { broken });
  };

  const oneWay = (from: Socket, to: Socket) => {
    from.on('data', (chunk: Buffer) => {
      if (from === client) turns.clientSpoke(chunk);
      else turns.serverSpoke();
      if (!to.write(chunk)) from.pause();
    });
    to.on('drain', () => from.resume());
    from.on('end', () => to.end());
    from.on('error', (error: NodeJS.ErrnoException) => {
      if (from === server && !isClosing && !client.readableEnded) broken ??= error.code ?? error.message;
      isClosing = true;
      // A reset goes on as a reset: with a FIN the other end would believe that all had been said.
      to.resetAndDestroy();
    });
    from.on('close', () => {
      // Ended on both sides or reset: `to` is on its way already. Destroyed by us: it goes too.
      if (!to.destroyed && !isClosing && !(from.readableEnded && from.writableFinished)) to.destroy();
      onClose();
    });
  };

  server.once('end', () => {
    // It took the connection, was asked something, and hung up without a word.
    if (server.bytesRead === 0 && client.bytesRead > 0 && !isClosing && !client.readableEnded) {
      broken = 'closed without an answer';
    }
  });
  for (const chunk of early) if (!server.write(chunk)) client.pause();
  oneWay(client, server);
  oneWay(server, client);
  // It said FIN while the server was dialled; the event has passed.
  if (client.readableEnded) server.end();
  else if (!server.writableNeedDrain) client.resume();
  server.resume();

  return {
    get bytesUp() {
      return client.bytesRead;
    },
    get bytesDown() {
      return server.bytesRead;
    },
    get isAsking() {
      return turns.isAsking;
    },
    close() {
      isClosing = true;
      client.destroy();
      server.destroy();
    },
  };
}

/** Source: RFC 8446, record type of a handshake. */
const tlsHandshake = 22;
/** A TLS server says it at once: its tickets for resuming, one write. */
const ticketsWithinMs = 5;
/** An answer that came together with the tickets cannot be told from them: after this it is taken for given. */
const firstAnswerWithinMs = 5_000;

interface Turns {
  readonly isAsking: boolean;
  clientSpoke(chunk: Buffer): void;
  serverSpoke(): void;
}

/**
 * Who has spoken last. With TLS 1.3 that says nothing of the first request: it comes with the end of the handshake,
 * and the server's next words are tickets. What it says a moment later is the answer.
 */
function turnsOf(nowMs: () => number): Turns {
  let last: 'client' | 'server' | undefined;
  let ofClient = 0;
  let isTls = false;
  let heardAtMs: number | undefined;
  let isAnswered = false;
  return {
    get isAsking() {
      const isYoung = heardAtMs === undefined || nowMs() - heardAtMs < firstAnswerWithinMs;
      return last === 'client' || (isTls && !isAnswered && ofClient <= 2 && isYoung);
    },
    clientSpoke(chunk) {
      if (ofClient === 0) isTls = chunk[0] === tlsHandshake;
      if (last !== 'client') ofClient += 1;
      last = 'client';
    },
    serverSpoke() {
      last = 'server';
      if (!isTls || isAnswered || ofClient !== 2) return;
      heardAtMs ??= nowMs();
      isAnswered = nowMs() - heardAtMs > ticketsWithinMs;
    },
  };
}
