/** What tests of real checks share: servers on free ports, a context, and the look for what is left over. */
import { getEventListeners, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import type { ProbeContext } from '../../src/probe/create-probe.ts';
import { ProbeFailure, type Probe } from '../../src/probe/probe.ts';
import type { UntilReadyOptions } from '../../src/probe/until-ready.ts';

/** Listens on a free loopback port (or at `at`); disposing ends all its connections. */
export async function listening(server: Server, at?: number | string): Promise<AsyncDisposable & { port: number }> {
  const sockets = new Set<{ destroy(): void }>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
  });
  if (typeof at === 'string') server.listen(at);
  else server.listen(at ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A port that nobody listens on: the kernel gave it out and took it back. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export function temporaryFolder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'k3s-lite-probe-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** The servers of these tests run in this process, which therefore is "the unit". */
export function contextOf(overrides: Partial<ProbeContext> = {}): ProbeContext {
  return {
    unit: 'etcd',
    log: { follow: () => ({ [Symbol.dispose]: () => undefined }), last: () => [] },
    runToEnd: () => Promise.reject(new Error('no program is run in this test')),
    pids: () => [process.pid],
    ...overrides,
  };
}

export function patience(probe: Probe, overrides: Partial<UntilReadyOptions> = {}): UntilReadyOptions {
  return {
    ...{ probe, component: 'etcd', generation: 1, clock: systemClock, random: Math.random },
    signal: new AbortController().signal,
    ...overrides,
  };
}

/** The one line with which a check fails now; the check must leave no listener on its signal. */
export async function failureOf(probe: Probe): Promise<string> {
  return (await failed(probe)).message;
}

export async function failed(probe: Probe): Promise<ProbeFailure> {
  const { signal } = new AbortController();
  const failure = await probe.check(signal).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(ProbeFailure);
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  return failure as ProbeFailure;
}

export async function passes(probe: Probe): Promise<void> {
  const { signal } = new AbortController();
  await probe.check(signal);
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
}

/** Connections, servers and file watches that keep this process alive, to be compared before and after. */
export function openHandles(): number {
  return process.getActiveResourcesInfo().filter((kind) => /TCP|TLS|FSEvent/.test(kind)).length;
}
