/** Real servers and clients on the loopback, and a balancer with its forwarder between them. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createBalancer, type Balancer } from '../../src/balancer/balancer.ts';
import { balancerStream, type BalancerEvent } from '../../src/balancer/balancer-event.ts';
import type { CheckPace } from '../../src/balancer/check-loop.ts';
import type { DialLimits } from '../../src/balancer/dial-race.ts';
import type { Forwarder } from '../../src/balancer/forwarder.ts';
import { netForwarder } from '../../src/balancer/net-forwarder.ts';
import type { Rules } from '../../src/balancer/routing-state.ts';
import { systemClock, type Clock } from '../../src/kernel/clock.ts';
import { ProbeFailure, type Probe } from '../../src/probe/probe.ts';

export interface EchoServer extends AsyncDisposable {
  readonly address: string;
  readonly sockets: ReadonlySet<Socket>;
  /** No longer listens, and its connections are gone. */
  stop(): Promise<void>;
}

export interface ServerOptions {
  readonly port?: number;
  readonly onSocket?: (socket: Socket) => void;
}

/** Answers each connection with "NAME:" and what it hears. */
export function echoServer(name: string): Promise<EchoServer> {
  return tcpServer({
    onSocket(socket) {
      socket.on('data', (chunk) => socket.write(`${name}:${chunk.toString()}`));
      socket.on('end', () => socket.end());
    },
  });
}

export async function tcpServer({ port = 0, onSocket }: ServerOptions = {}): Promise<EchoServer> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    onSocket?.(socket);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const stop = async () => {
    const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  const { port: actual } = server.address() as AddressInfo;
  return { address: `127.0.0.1:${String(actual)}`, sockets, stop, [Symbol.asyncDispose]: stop };
}

export interface Client extends Disposable {
  readonly socket: Socket;
  /** Sends and returns what comes back next; "closed" when the connection ends or breaks instead. */
  ask(text: string): Promise<string>;
  /** Resolves with how it ended: "end", "close" or an errno name. */
  readonly ended: Promise<string>;
}

export function client(address: string): Client {
  const [host, port] = address.split(':');
  const socket = connect({ host: host ?? '', port: Number(port) });
  const ended = new Promise<string>((resolve) => {
    socket.once('end', () => resolve('end'));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('close', () => resolve('close'));
  });
  return {
    socket,
    ended,
    async ask(text) {
      const answer = new Promise<string>((resolve) => void socket.once('data', (chunk) => resolve(chunk.toString())));
      socket.write(text);
      return Promise.race([answer, ended.then(() => 'closed')]);
    },
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

type Verdict = 'ok' | 'failed' | 'silent';

/** A check whose answer the test sets. */
export class Verdicts {
  readonly #first: Verdict;
  readonly #verdicts = new Map<string, Verdict>();
  /** Checks made so far, by address. */
  readonly asked = new Map<string, number>();

  /** @param first - of servers of which nothing else was said */
  constructor(first: Verdict = 'silent') {
    this.#first = first;
  }

  set(address: string, verdict: Verdict): void {
    this.#verdicts.set(address, verdict);
  }

  probe(address: string): Probe {
    return {
      describe: () => 'test check',
      check: (signal) => {
        this.asked.set(address, (this.asked.get(address) ?? 0) + 1);
        const verdict = this.#verdicts.get(address) ?? this.#first;
        if (verdict === 'ok') return Promise.resolve();
        if (verdict === 'failed') return Promise.reject(new ProbeFailure('told to fail'));
        return new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
        });
      },
    };
  }
}

export interface Place extends AsyncDisposable {
  readonly balancer: Balancer;
  readonly forwarder: Forwarder;
  readonly verdicts: Verdicts;
  /** Where clients connect to. */
  readonly address: string;
  /** "active", or "-" when it is not there. */
  state(address: string): string;
  events(): readonly BalancerEvent[];
  connect(): Client;
}

export interface PlaceOptions {
  readonly rules?: Partial<Rules>;
  readonly limits?: DialLimits;
  readonly servers?: readonly string[];
  readonly default?: string;
  readonly random?: () => number;
  /** What checks of every server say at first. */
  readonly verdict?: Verdict;
  /** Real checks instead of those. */
  readonly createCheck?: (address: string) => Probe | undefined;
  readonly checkPace?: CheckPace;
  readonly maxConnections?: number;
  readonly holdMs?: number;
  /** Of the forwarder alone. Default: the system's. */
  readonly forwarderClock?: Clock;
}

/** Checks come every 20 ms; connections are closed at once unless `rules` say otherwise. */
export async function place(options: PlaceOptions = {}): Promise<Place> {
  const events = balancerStream({ clock: systemClock });
  const verdicts = new Verdicts(options.verdict);
  const clients: Client[] = [];
  const balancer = createBalancer({
    rules: { graces: { removedMs: 0, takeoverMs: 0, drainedMs: 0 }, ...options.rules },
    createCheck: options.createCheck ?? ((address) => verdicts.probe(address)),
    checkPace: options.checkPace ?? { everyMs: 20, withinMs: 100, silences: 1 },
    events,
    clock: systemClock,
    random: options.random ?? (() => 0.5),
  });
  const forwarder = await netForwarder({
    listen: { host: '127.0.0.1', port: 0 },
    routes: balancer.routes,
    clock: options.forwarderClock ?? systemClock,
    limits: options.limits,
    maxConnections: options.maxConnections,
    holdMs: options.holdMs,
    // The kernel asks after 30 s then.
    random: () => 0.5,
  });
  balancer.attach(forwarder);
  balancer.setDefault(options.default);
  if (options.servers !== undefined) balancer.update(options.servers.map((address) => ({ address })));
  const address = `127.0.0.1:${String(forwarder.address.port)}`;
  return {
    balancer,
    forwarder,
    verdicts,
    address,
    state: (server) => balancer.list().find((each) => each.address === server)?.state ?? '-',
    events: () => events.history().map(({ event }) => event),
    connect() {
      const made = client(address);
      clients.push(made);
      return made;
    },
    async [Symbol.asyncDispose]() {
      for (const each of clients) each[Symbol.dispose]();
      await balancer[Symbol.asyncDispose]();
    },
  };
}
