/** A connection to a TCP or unix address: what tcp, unix, http and grpc checks all begin with. */
import type { Socket } from 'node:net';
import { abortError, onAbort } from '../kernel/abort.ts';
import { net } from '../kernel/lazily.ts';
import { outcomeOf } from './outcome.ts';
import { ProbeFailure, type ProbePace } from './probe.ts';

export interface TcpAddress {
  readonly kind: 'tcp';
  readonly host: string;
  readonly port: number;
}
export type Address = TcpAddress | { readonly kind: 'unix'; readonly path: string };

/**
 * Refused connections to this machine cost about 0.1 ms, so they may be frequent: delays of 2 ms
 * mean 1 ms between "listens" and "noticed" in the median, at 5 % of a core for three seconds. What
 * speaks TLS starts slowly and answers dearly, with the processors that it starts on: 15 ms (5 ms took a third of a
 * core of a starting kube-apiserver, together with its answers), and from the second second on 0.75 % of what has passed,
 * which is then noticed half of that late.
 */
const plainPace: ProbePace = { kind: 'eager', capMs: 2, forMs: 3_000 };
const tlsPace: ProbePace = { kind: 'eager', capMs: 15, forMs: 5_000, lateShare: 0.0075 };

/** "2379", ":2379", "host:2379", "[::1]:2379"; undefined if it is none of these. */
export function parseTcpAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]:|([^\s:/[\]]*):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535) return undefined;
  const host = match[1] ?? match[2] ?? '';
  if (match[1] !== undefined && net().isIP(match[1]) !== 6) return undefined;
  return { kind: 'tcp', host: host === '' ? '127.0.0.1' : host, port };
}

/** "10.0.0.1" of "10.0.0.1:6443". */
export function hostOfServer(address: string): string {
  const parsed = parseTcpAddress(address);
  return parsed?.kind === 'tcp' ? parsed.host : '';
}

/** A gRPC target: "unix:///path", "unix:/path" or what {@link parseTcpAddress} takes. */
export function parseTarget(text: string): Address | undefined {
  const path = /^unix:(?:\/\/)?(\/.+)$/.exec(text)?.[1];
  return path === undefined ? parseTcpAddress(text) : { kind: 'unix', path };
}

/** Where an http or https URL leads; without a port the scheme's own. */
export function addressOfUrl(url: URL): TcpAddress {
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
  return { kind: 'tcp', host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port };
}

export function describeAddress(address: Address): string {
  if (address.kind === 'unix') return address.path;
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${String(address.port)}`;
}

export function paceOf(address: Address, isTls = false): ProbePace | undefined {
  if (address.kind !== 'unix' && !isLoopback(address.host)) return undefined;
  return isTls ? tlsPace : plainPace;
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

export interface ConnectionOptions {
  /** Told when nobody listens there; an `OwnerCheck` wants to know. */
  readonly owner?: { nobodyListens(address: Address): void } | undefined;
  /** Somebody will tell when it begins to listen: its failure says so. */
  readonly isWatched?: () => boolean;
}

/** Nobody listens there, or nothing is there to connect to. */
const absent = new Set(['ECONNREFUSED', 'ENOENT']);

/** A connection that is being made: the caller hears of its error, and ends it. */
export function connectTo(address: Address): Socket {
  return address.kind === 'unix'
    ? net().connect(address.path)
    : net().connect({ host: address.host, port: address.port });
}

/**
 * Opens a connection. The caller ends it.
 *
 * @throws {@link ProbeFailure} whose message is the errno name ("ECONNREFUSED"); the reason of `signal`
 */
export function openConnection(
  address: Address,
  signal: AbortSignal,
  options: ConnectionOptions = {},
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(abortError(signal));
      return;
    }
    const socket = connectTo(address);
    const settle = () => {
      abort[Symbol.dispose]();
      socket.off('connect', onConnect);
      socket.off('error', onError);
    };
    const onConnect = () => {
      settle();
      resolve(socket);
    };
    const onError = (cause: Error) => {
      settle();
      socket.destroy();
      reject(connectionFailure(cause, address, options));
    };
    const abort = onAbort(signal, () => {
      settle();
      // An error may still be on its way; nobody waits for it any more.
      socket.on('error', () => undefined);
      socket.destroy();
      reject(abortError(signal));
    });
    socket.once('connect', onConnect);
    socket.once('error', onError);
  });
}

/** An error of a connection as the failure of a check: one line, the error kept as the cause. */
export function connectionFailure(
  cause: Error,
  address?: Address,
  { owner, isWatched }: ConnectionOptions = {},
): ProbeFailure {
  if (cause instanceof ProbeFailure) return cause;
  const isAbsent = address !== undefined && absent.has((cause as NodeJS.ErrnoException).code ?? '');
  if (isAbsent) owner?.nobodyListens(address);
  return new ProbeFailure(outcomeOf(cause), { cause, isWatched: isAbsent && isWatched?.() === true });
}
