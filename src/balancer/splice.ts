/**
 * Two TCP connections as if they were one: bytes, back-pressure, half-closes (FIN) and resets (RST)
 * go through as they come, in both directions. Nothing is looked into but who greets how (turns.ts), and
 * an idle connection stays for as long as both ends like.
 *
 * Both sockets must allow half-open ends.
 */
import type { Socket } from 'node:net';
import { turnsOf } from './turns.ts';

export interface Spliced {
  /** Bytes that have come from the client, and from the server. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** The client waits for an answer, as far as one can tell: see turns.ts. */
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
  for (const chunk of early) turns.clientSpoke(chunk);

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
