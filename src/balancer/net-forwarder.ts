/**
 * The forwarder on node:net: accepts, dials by {@link dialRace}, splices. TLS is passed through
 * untouched, so a server sees its client's own handshake and name.
 */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { StartupError } from '../error/startup-error.ts';
import type { Clock } from '../kernel/clock.ts';
import { sharedTimers } from '../kernel/shared-timers.ts';
import { parseTcpAddress } from '../probe/connection.ts';
import { connectionPool } from './connection-pool.ts';
import {
  defaultDialLimits,
  dialRace,
  type Dialler,
  type Dialling,
  type DialLimits,
  type DialRace,
  type DialResult,
} from './dial-race.ts';
import { silenceMs, type Forwarder, type ListenAddress, type Routes } from './forwarder.ts';
import { heldClients, type Wait } from './held-clients.ts';
import { keepAliveMs } from './keep-alive.ts';
import type { ServerRef } from './routing-input.ts';
import { Splice } from './splice.ts';

export interface NetForwarderOptions {
  readonly listen: ListenAddress;
  readonly routes: Routes;
  readonly clock: Clock;
  readonly limits?: DialLimits | undefined;
  /** Of clients at once; each is two open files. */
  readonly maxConnections?: number | undefined;
  /** How long a client waits for a server to answer, from when it came, while none does. Default: it is closed. */
  readonly holdMs?: number | undefined;
  /** From 0 to 1, exclusive. */
  readonly random?: (() => number) | undefined;
}

/** kube-apiserver has less than 300 connections to etcd. */
const mostHeld = 1024;
const socketOptions = { allowHalfOpen: true, noDelay: true };

/** @throws StartupError ERR_NOT_READY if it cannot listen there */
export async function netForwarder(options: NetForwarderOptions): Promise<Forwarder> {
  const { listen, routes, clock, limits = defaultDialLimits, maxConnections = 8192, holdMs = 0 } = options;
  const { random = Math.random } = options;
  /** Two for each connection, and nearly none is ever due. */
  const timers = sharedTimers(clock);
  const nowMs = () => clock.monotonicMs();
  const pool = connectionPool(clock);
  const held = heldClients(clock, { holdMs, most: mostHeld });
  const races = new Set<DialRace<Socket>>();
  const waiting = new Set<Socket>();
  const counts = { bytesUp: 0, bytesDown: 0, refused: 0 };

  /** The first answer of `routes` is the one that the decision is explained with. */
  const begin = () => {
    const startedMs = nowMs();
    const candidates = routes.candidates();
    let attempted = 0;
    const race = dialRace<Socket>({
      candidates: () => (attempted++ === 0 ? candidates : routes.candidates()),
      dial,
      report: (server, outcome) => void routes.dialled(server, outcome),
      discard: (socket) => socket.destroy(),
      ended: () => void races.delete(race),
      limits,
      clock: timers,
    });
    races.add(race);
    race.begin();
    return { race, candidates, startedMs };
  };

  const accept = async (client: Socket) => {
    waiting.add(client);
    const cameMs = nowMs();
    let dialling = begin();
    let wait: Wait | undefined;
    const splice = new Splice({
      client,
      nowMs,
      onEarlyEnd(how) {
        if (how === 'gone') dialling.race.cancel();
        wait?.cancel();
      },
    });
    let result: DialResult<Socket>;
    let tookMs: number;
    for (;;) {
      result = await dialling.race.result;
      tookMs = nowMs() - dialling.startedMs;
      // Where a server answers checks and not this client, waiting is of no use.
      if (result.ok || result.gaveUp === 'the client left' || routes.isReachable()) break;
      wait = held.wait(cameMs);
      if (wait === undefined) break;
      // It may wait for long: who is not there any more has to be noticed.
      client.setKeepAlive(true, keepAliveMs(random));
      if (splice.hasEndedEarly) wait.cancel();
      const over = await wait.over;
      wait = undefined;
      if (over === 'the client left') result = { ok: false, gaveUp: over };
      if (over !== 'a server answers') break;
      dialling = begin();
    }
    const { candidates } = dialling;
    const { attempts } = dialling.race;
    waiting.delete(client);
    if (!result.ok) {
      splice.close();
      routes.decided({ candidates, attempts, tookMs, gaveUp: result.gaveUp });
      return;
    }
    const { server, connection: socket } = result;
    // It may have died between its connecting and now; splicing it would wait for events that have passed.
    const isWanted = routes.dialled(server, { outcome: 'ok', tookMs: result.tookMs });
    if (!isWanted || client.destroyed) {
      socket.destroy();
      splice.close();
      if (isWanted) routes.closed(server, {});
      return;
    }
    routes.decided({ candidates, attempts, tookMs, chosen: server });
    join(splice, server, [client, socket]);
  };

  const join = (splice: Splice, server: ServerRef, [client, socket]: readonly [Socket, Socket]) => {
    const greeting = timers.timer(silenceMs, () => {
      // Not before: it is four system calls on each side, and most connections of a crowd are over by now.
      for (const side of [client, socket]) side.setKeepAlive(true, keepAliveMs(random));
      if (splice.bytesUp > 0 && splice.bytesDown === 0) routes.silent(server);
    });
    pool.add(server, splice);
    splice.join(socket, (ending) => {
      greeting[Symbol.dispose]();
      pool.delete(server, splice);
      counts.bytesUp += splice.bytesUp;
      counts.bytesDown += splice.bytesDown;
      routes.closed(server, ending);
    });
  };

  const server = createServer(socketOptions, (client) => void accept(client));
  server.maxConnections = maxConnections;
  server.on('drop', () => void (counts.refused += 1));
  await listening(server, listen);
  // Too many open files, for one: the next connection may succeed.
  server.on('error', () => void (counts.refused += 1));
  const { port } = server.address() as { readonly port: number };

  return {
    address: { host: listen.host, port },
    counts: () => ({ ...counts, connections: pool.size + waiting.size }),
    closeConnections: (ref, withinMs) => pool.close(ref, withinMs),
    keepConnections: (ref) => pool.keep(ref),
    dialHeld: () => held.wake(),
    abandonDials(ref) {
      for (const race of races) race.abandon(ref);
    },
    async [Symbol.asyncDispose]() {
      const ended = new Promise<void>((resolve) => void server.close(() => resolve()));
      for (const client of waiting) client.destroy();
      pool[Symbol.dispose]();
      await ended;
    },
  };
}

function dial({ address }: ServerRef, dialler: Dialler<Socket>): Dialling {
  const parsed = parseTcpAddress(address);
  if (parsed?.kind !== 'tcp') {
    queueMicrotask(() => dialler.failed(new Error(`${address} is no address`)));
    return { cancel: () => undefined };
  }
  // A name is resolved anew at each dial, and all its addresses are tried.
  const socket = connect({ host: parsed.host, port: parsed.port, ...socketOptions });
  const failed = (error: Error) => dialler.failed(error);
  socket.once('error', failed);
  socket.once('connect', () => {
    socket.off('error', failed);
    dialler.connected(socket);
  });
  return {
    cancel() {
      socket.on('error', () => undefined);
      socket.destroy();
    },
  };
}

async function listening(server: ReturnType<typeof createServer>, { host, port }: ListenAddress): Promise<void> {
  try {
    server.listen({ host, port });
    await once(server, 'listening');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'error';
    // These words make the supervisor name who holds the port (probe/hints).
    const reason = code === 'EADDRINUSE' ? 'address already in use' : code;
    throw new StartupError(
      'ERR_NOT_READY',
      `cannot listen on ${host}:${String(port)}: ${reason}`,
      { host, port, reason },
      { cause },
    );
  }
}
