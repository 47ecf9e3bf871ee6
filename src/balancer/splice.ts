/**
 * A client's connection, first alone and then with a server, as if the two were one: bytes, back-pressure,
 * half-closes (FIN) and resets (RST) go through as they come, in both directions. Nothing is looked into but who
 * greets how (turns.ts), and an idle connection stays for as long as both ends like.
 *
 * A client that has no server yet is read as well: only so is it seen when it leaves. What it says is kept for the
 * server. It has the same listeners all along, as they are a twentieth of what a short connection costs.
 *
 * Both sockets must allow half-open ends.
 */
import type { Socket } from 'node:net';
import type { PooledConnection } from './connection-pool.ts';
import { Turns } from './turns.ts';

/** Half-closed after a request is a way to ask, for as long as somebody is asked. */
export type EarlyEnd = 'gone' | 'half-closed';

/** How the server broke the connection, if it did. */
export interface SpliceEnding {
  readonly broken?: string;
}

/** How much a client may say before its server answers: more than any TLS greeting. */
const maxEarlyBytes = 64 * 1024;

export interface SpliceOptions {
  readonly client: Socket;
  /** Monotonic. */
  readonly nowMs: () => number;
  /** It will say nothing more, and has no server yet. */
  onEarlyEnd(how: EarlyEnd): void;
}

export class Splice implements PooledConnection {
  readonly #client: Socket;
  readonly #turns: Turns;
  readonly #onEarlyEnd: SpliceOptions['onEarlyEnd'];
  #early: Buffer[] = [];
  #earlyBytes = 0;
  #hasEndedEarly = false;
  #server: Socket | undefined;
  #onEnd: ((ending: SpliceEnding) => void) | undefined;
  #open = 2;
  #isClosing = false;
  #broken: string | undefined;

  constructor({ client, nowMs, onEarlyEnd }: SpliceOptions) {
    this.#client = client;
    this.#turns = new Turns(nowMs);
    this.#onEarlyEnd = onEarlyEnd;
    client.on('data', (chunk: Buffer) => this.#onClientData(chunk));
    client.on('drain', () => this.#server?.resume());
    client.on('end', () => this.#onClientEnd());
    client.on('error', () => this.#onError(this.#server));
    client.on('close', () => this.#onClose(client, this.#server));
  }

  /** From the client. */
  get bytesUp(): number {
    return this.#client.bytesRead;
  }

  /** From the server. */
  get bytesDown(): number {
    return this.#server?.bytesRead ?? 0;
  }

  get movedBytes(): number {
    return this.bytesUp + this.bytesDown;
  }

  /** As far as one can tell: see turns.ts. */
  get isAsking(): boolean {
    return this.#turns.isAsking;
  }

  /** Without a server, it will say nothing more. */
  get hasEndedEarly(): boolean {
    return this.#hasEndedEarly;
  }

  /** @param onEnd - told once, when both are closed */
  join(server: Socket, onEnd: (ending: SpliceEnding) => void): void {
    const client = this.#client;
    this.#server = server;
    this.#onEnd = onEnd;
    server.on('data', (chunk: Buffer) => {
      this.#turns.serverSpoke();
      if (!client.write(chunk)) server.pause();
    });
    server.on('drain', () => client.resume());
    server.on('end', () => this.#onServerEnd(server));
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (!this.#isClosing && !client.readableEnded) this.#broken ??= error.code ?? error.message;
      this.#onError(client);
    });
    server.on('close', () => this.#onClose(server, client));
    for (const chunk of this.#early) if (!server.write(chunk)) client.pause();
    this.#early = [];
    // It said FIN while the server was dialled; the event has passed.
    if (client.readableEnded) server.end();
    else if (!server.writableNeedDrain) client.resume();
    server.resume();
  }

  close(): void {
    this.#isClosing = true;
    this.#client.destroy();
    this.#server?.destroy();
  }

  #onClientData(chunk: Buffer): void {
    this.#turns.clientSpoke(chunk);
    const server = this.#server;
    if (server !== undefined) {
      if (!server.write(chunk)) this.#client.pause();
      return;
    }
    this.#early.push(chunk);
    this.#earlyBytes += chunk.length;
    if (this.#earlyBytes >= maxEarlyBytes) this.#client.pause();
  }

  #onClientEnd(): void {
    if (this.#server === undefined) this.#endEarly(this.#earlyBytes === 0 ? 'gone' : 'half-closed');
    else this.#server.end();
  }

  #onServerEnd(server: Socket): void {
    const client = this.#client;
    // It took the connection, was asked something, and hung up without a word.
    if (server.bytesRead === 0 && client.bytesRead > 0 && !this.#isClosing && !client.readableEnded) {
      this.#broken = 'closed without an answer';
    }
    client.end();
  }

  #onError(to: Socket | undefined): void {
    if (to === undefined) {
      this.#endEarly('gone');
      return;
    }
    this.#isClosing = true;
    // A reset goes on as a reset: with a FIN the other end would believe that all had been said.
    to.resetAndDestroy();
  }

  #onClose(from: Socket, to: Socket | undefined): void {
    if (to === undefined) {
      this.#endEarly('gone');
      return;
    }
    // Ended on both sides or reset: `to` is on its way already. Destroyed by us: it goes too.
    if (!to.destroyed && !this.#isClosing && !(from.readableEnded && from.writableFinished)) to.destroy();
    this.#open -= 1;
    if (this.#open === 0) this.#onEnd?.(this.#broken === undefined ? {} : { broken: this.#broken });
  }

  #endEarly(how: EarlyEnd): void {
    this.#hasEndedEarly = true;
    if (!this.#isClosing) this.#onEarlyEnd(how);
  }
}
