/** Many followers at once, and one that never reads: real sockets, a real server, a real executor with real processes. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import path from 'node:path';
import { expect, test } from 'vitest';
import { createControlServer } from '../../src/control/server.ts';
import { realWorld } from '../executor/real-world.ts';
import { fakeSource, temporaryFolder } from './fake-source.ts';

const clients = 1000;

test(
  '[S8] 1,000 clients follow the events and one never reads: no unit is disturbed, memory is bounded, the slow one is told',
  { timeout: 60_000 },
  async () => {
    using folder = temporaryFolder();
    await using world = realWorld('b -> hard a', () => ({
      a: { run: ['sleep', '1000'] },
      b: { run: ['sleep', '1000'] },
    }));
    const { executor } = world;
    const source = { ...fakeSource('a').source, executor };
    const socketPath = path.join(folder.dir, 'run', 'control.sock');
    await using _server = await createControlServer({ socketPath, source });
    executor.start();
    await executor.ready();
    const pids = executor.snapshots().map(({ pid }) => pid);

    const sockets: Socket[] = [];
    const received: number[] = [];
    const open = async (onData?: (text: string) => void) => {
      const socket = connect(socketPath);
      sockets.push(socket);
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      if (onData === undefined) socket.pause();
      else socket.setEncoding('utf8').on('data', onData);
      socket.write('GET /v1/events?follow=1 HTTP/1.1\r\nhost: x\r\n\r\n');
      return socket;
    };
    const stalled = await open();
    await expect.poll(() => stalled.bytesWritten).toBeGreaterThan(0);
    const before = process.memoryUsage().rss;
    // More than the ring holds: what the one that does not read has no room for is lost to it.
    const long = 'x'.repeat(500);
    for (let burst = 0; burst < 100; burst += 1) {
      for (let number = 0; number < 150; number += 1)
        executor.events.emit({ type: 'notice', level: 'info', text: long });
      await new Promise((resolve) => setImmediate(resolve));
    }
    const last = 'the last word';
    for (let number = 0; number < clients; number += 1) {
      received[number] = 0;
      await open((text) => {
        if (text.includes(last)) received[number] = 1;
      });
    }

    const sinceMs = performance.now();
    executor.restartUnits(['b']);
    await executor.unit('b').when(({ state, generation }) => state === 'ready' && generation === 2);
    expect(performance.now() - sinceMs, 'ms for a restart while a thousand readers are served').toBeLessThan(5000);
    executor.events.emit({ type: 'notice', level: 'info', text: last });
    await expect.poll(() => received.filter((has) => has === 1).length, { timeout: 30_000 }).toBe(clients);
    expect(executor.snapshots()[0]?.pid, 'the other unit is as it was').toBe(pids[0]);
    expect((process.memoryUsage().rss - before) / 1e6, 'MB more').toBeLessThan(400);

    let told = '';
    stalled.setEncoding('utf8').on('data', (chunk: string) => (told += chunk));
    stalled.resume();
    await expect.poll(() => told.includes(last), { timeout: 10_000 }).toBe(true);
    expect(told).toMatch(/\{"dropped":\d+\}/);
    for (const socket of sockets) socket.destroy();
  },
);
