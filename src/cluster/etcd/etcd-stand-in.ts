/**
 * Stands in for an etcd that does not run, at its socket: who connects is kept waiting, and sent to etcd when that is back.
 *
 * kube-apiserver has a connection to etcd for each kind of object. Where nobody listens each pauses between its
 * attempts, for longer and longer (gRPC: to 120 s at most), and goes on pausing when etcd has long been back. One that is
 * accepted and not answered only waits. Nothing passes through here: sent on it connects anew, to etcd itself.
 */
import { chmodSync, renameSync, rmSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import path from 'node:path';
import type { Clock } from '../../kernel/clock.ts';
import { net } from '../../kernel/lazily.ts';
import { messageOf } from '../../kernel/message-of.ts';

export interface EtcdStandInOptions {
  readonly socketPath: string;
  readonly clock: Clock;
  /** Told why its place could not be taken; clients then pause as they do without. */
  readonly onTrouble: (reason: string) => void;
}

export interface EtcdStandIn extends Disposable {
  /**
   * Takes the place of an etcd that does not run, before this returns; never to be called while one may be starting.
   * Each start of etcd takes the socket back, so each end of it needs this anew. Who waits goes on waiting.
   */
  take(): void;
  /** etcd serves its clients: who waits is sent to it. */
  sendOn(): void;
  /** Nobody is to wait any more: who does is refused. */
  refuse(): void;
}

/** A client of gRPC gives an attempt up after 20 s. Source: grpc-go, minConnectTimeout. */
const holdMs = 18_000;
/** Not longer than the name of etcd's own: where that fits into an address of a socket (107 bytes), this does. */
const boundName = 'etcd.new';
/** kube-apiserver has less than 300. */
const mostHeld = 512;

/**
 * What a server of HTTP/2 says first, empty settings, and last, that it has done nothing of what it was asked (RFC 9113,
 * 6.5 and 6.8). For a client of gRPC that was a connection that succeeded: its next attempt comes at once.
 */
const greetingAndFarewell = Buffer.from([
  ...[0, 0, 0, /* SETTINGS */ 4, 0, 0, 0, 0, 0],
  ...[0, 0, 8, /* GOAWAY */ 7, 0, 0, 0, 0, 0, /* last stream */ 0, 0, 0, 0, /* NO_ERROR */ 0, 0, 0, 0],
]);

export function etcdStandIn({ socketPath, clock, onTrouble }: EtcdStandInOptions): EtcdStandIn {
  /** With the timer of each. */
  const held = new Map<Socket, Disposable>();
  let server: Server | undefined;

  const forget = (client: Socket) => {
    held.get(client)?.[Symbol.dispose]();
    held.delete(client);
  };
  const sendOne = (client: Socket) => {
    forget(client);
    client.write(greetingAndFarewell);
    client.destroySoon();
  };
  const hold = (client: Socket) => {
    if (held.size >= mostHeld) {
      client.destroy();
      return;
    }
    client.on('error', () => undefined);
    client.on('close', () => forget(client));
    // Read only so is it seen when it leaves.
    client.resume();
    held.set(
      client,
      clock.timer(holdMs, () => sendOne(client)),
    );
  };
  const leave = () => {
    server?.close();
    server = undefined;
  };
  const refuse = () => {
    leave();
    for (const client of [...held.keys()]) client.destroy();
  };

  return {
    take() {
      leave();
      // What was bound is removed when it is closed (libuv): under a name of its own, that is never etcd's.
      const bound = path.join(path.dirname(socketPath), boundName);
      const taking = net().createServer(hold);
      taking.on('error', (error) => onTrouble(messageOf(error)));
      server = taking;
      try {
        rmSync(bound, { force: true });
        taking.listen({ path: bound });
        if (!taking.listening) {
          // Its error comes as an event, and is told there.
          leave();
          return;
        }
        chmodSync(bound, 0o600);
        renameSync(bound, socketPath);
      } catch (error) {
        leave();
        onTrouble(messageOf(error));
      }
    },
    sendOn() {
      leave();
      for (const client of [...held.keys()]) sendOne(client);
    },
    refuse,
    [Symbol.dispose]: refuse,
  };
}
