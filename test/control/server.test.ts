import { request } from 'node:http';
import { connect } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { controlClient, type ControlClient } from '../../src/control/client.ts';
import { createControlServer, type ControlServer } from '../../src/control/server.ts';
import { renderError } from '../../src/error/render.ts';
import { portConflict, moment, snapshot } from '../report/facts.ts';
import { fakeSource, temporaryFolder } from './fake-source.ts';

// kubelet → kube-apiserver → etcd, each hard.
const notation = 'kubelet -> hard kube-apiserver; kube-apiserver -> hard etcd; etcd';

let folder: ReturnType<typeof temporaryFolder>;
let fake: ReturnType<typeof fakeSource>;
let server: ControlServer;
let client: ControlClient;
let socketPath: string;
beforeEach(async () => {
  folder = temporaryFolder();
  socketPath = path.join(folder.dir, 'run', 'control.sock');
  fake = fakeSource(notation, folder.dir);
  server = await createControlServer({ socketPath, source: fake.source });
  client = controlClient({ socketPath, dataDir: folder.dir });
});
afterEach(async () => {
  await server.close();
  folder[Symbol.dispose]();
});

interface RawReply {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly text: string;
}

function raw(method: string, urlPath: string, body?: string): Promise<RawReply> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path: urlPath, method, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
const json = ({ text }: RawReply) => JSON.parse(text) as Record<string, unknown>;

describe('the control API over its real socket', () => {
  test('[S8] status has every unit with state, since when, waiting for what, last error, next retry', async () => {
    const { etcd } = portConflict();
    fake.set(snapshot('etcd', 'backoff', { lastError: etcd, nextRetryAt: moment(5000), restarts: 2 }));
    fake.set(
      snapshot('kube-apiserver', 'waiting', {
        waitingFor: [{ unit: 'etcd', kind: 'hard', state: 'backoff', since: moment(0), lastError: etcd }],
      }),
    );
    const status = await client.status();
    expect(status.ready).toBe(false);
    expect(status.instance).toMatchObject({ version: '1.2.3', pid: process.pid });
    expect(status.units.map(({ unit }) => unit)).toEqual(['etcd', 'kube-apiserver', 'kubelet']);
    expect(status.units[0]).toMatchObject({
      state: 'backoff',
      restarts: 2,
      nextRetryAt: moment(5000),
      lastError: { code: 'ERR_EXITED', exit: { code: 1 } },
    });
    expect(status.units[1]?.waitingFor[0]).toMatchObject({ unit: 'etcd', lastError: { code: 'ERR_EXITED' } });
    await expect(client.unit('etcd')).resolves.toMatchObject({ unit: { unit: 'etcd', state: 'backoff' } });
  });

  test('[S8] [S4] why leads from a blocked unit to the root cause', async () => {
    const { etcd, apiserver, kubelet } = portConflict();
    const blocked = (unit: string, on: string, lastError: typeof etcd) =>
      snapshot(unit, 'blocked', {
        lastError,
        waitingFor: [{ unit: on, kind: 'hard', state: 'failed', since: moment(0) }],
      });
    fake.set(snapshot('etcd', 'failed', { lastError: etcd }));
    fake.set(blocked('kube-apiserver', 'etcd', apiserver));
    fake.set(blocked('kubelet', 'kube-apiserver', kubelet));
    const { tree, roots } = await client.why('kubelet');
    expect(tree).toMatchObject({
      unit: 'kubelet',
      state: 'blocked',
      gates: [{ unit: 'kube-apiserver', isOpen: false, why: { gates: [{ unit: 'etcd', why: { state: 'failed' } }] } }],
    });
    expect(roots).toEqual([{ unit: 'etcd', line: etcd.message, hint: etcd.detail.hint }]);
  });

  test('why of a starting unit has the last outcome of its check, of this generation only', async () => {
    fake.set(snapshot('etcd', 'starting', { generation: 2 }));
    const attempt = (generation: number, outcome: string) =>
      fake.events.emit({
        type: 'probe.attempt',
        unit: 'etcd',
        generation,
        phase: 'ready',
        check: 'https /health',
        attempt: { at: 0, ms: 1, outcome },
        count: 3,
      });
    attempt(1, 'old');
    expect((await client.why('etcd')).tree).not.toHaveProperty('lastCheck');
    attempt(2, '503 no leader');
    expect((await client.why('etcd')).tree.lastCheck).toBe('https /health: 503 no leader (3 attempts)');
  });

  test('the graph in each format', async () => {
    await expect(client.graph('dot')).resolves.toBe('graph as dot');
    expect((await raw('GET', '/v1/graph?format=svg')).headers['content-type']).toMatch('image/svg+xml');
    expect((await raw('GET', '/v1/graph?format=png')).status).toBe(400);
  });

  test('down is passed on, and only JSON of the right form is taken', async () => {
    await expect(client.down({ hurry: true })).resolves.toEqual({ pid: process.pid });
    expect((await raw('POST', '/v1/down')).status).toBe(202);
    expect(fake.downs).toEqual([{ hurry: true }, { hurry: false }]);
    for (const body of ['{"hury":true}', '{"hurry":"yes"}', 'not json', '[]']) {
      const reply = await raw('POST', '/v1/down', body);
      expect(reply.status).toBe(400);
      expect(json(reply)).toMatchObject({ type: 'StartupError', code: 'ERR_USAGE' });
    }
    expect(fake.downs).toHaveLength(2);
  });

  test('a body that is too large is refused, and the server goes on', async () => {
    const reply = await raw('POST', '/v1/down', `{"hurry":${' '.repeat(70_000)}true}`);
    expect(reply.status).toBe(413);
    expect((await client.status()).units).toHaveLength(3);
  });

  test('an unknown path names the nearest, a wrong method the right one, an unknown unit is 404', async () => {
    const path404 = await raw('GET', '/v1/statsu');
    expect(path404.status).toBe(404);
    expect(json(path404)).toMatchObject({ code: 'ERR_CONTROL', nearest: '/v1/status' });
    expect(json(await raw('GET', '/v1/units/etcd/wyh'))).toMatchObject({ nearest: '/v1/units/NAME/why' });
    const method = await raw('GET', '/v1/down');
    expect([method.status, method.headers['allow']]).toEqual([405, 'POST']);
    const unit = await raw('GET', '/v1/units/etdc');
    expect(unit.status).toBe(404);
    expect(json(unit)).toMatchObject({ code: 'ERR_UNKNOWN_UNIT', unit: 'etdc' });
    expect((await raw('GET', '/v1/units/%zz')).status).toBe(404);
    expect((await raw('GET', '/v1/status?verbose=1')).status).toBe(400);
    expect((await raw('GET', '/v1/units/etcd/logs?lines=-1')).status).toBe(400);
  });

  test('[S4] an error of the server is thrown by the client with its code, detail and chain', async () => {
    const failure = await client.unit('etdc').catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'ERR_UNKNOWN_UNIT', detail: { unit: 'etdc' } });
    expect(renderError(failure)).toContain('there is no unit "etdc"');
  });

  test('a bug behind a route is answered, told as a notice, and harms nobody else', async () => {
    fake.source.executor.snapshots = () => {
      throw new Error('oops');
    };
    const reply = await raw('GET', '/v1/status');
    expect(reply.status).toBe(500);
    expect(json(reply)).toMatchObject({ code: 'ERR_INTERNAL', message: 'internal error: oops' });
    expect(fake.events.history().at(-1)?.event).toMatchObject({ type: 'notice', level: 'warning' });
    await expect(client.unit('etcd')).resolves.toBeDefined();
  });

  test('what is no HTTP is closed, and the server goes on', async () => {
    const socket = connect(socketPath);
    socket.end('rubbish\r\n\r\n');
    await new Promise((resolve) => socket.resume().once('close', resolve));
    expect((await client.status()).units).toHaveLength(3);
  });
});

describe('following', () => {
  test('logs: the last lines, then each new one, until the reader leaves; then nothing listens', async () => {
    const log = fake.logOf('etcd');
    for (const line of ['a', 'b', 'c']) log.write(line);
    const leave = new AbortController();
    const lines: string[] = [];
    const reading = (async () => {
      const follower = controlClient({ socketPath, dataDir: folder.dir, signal: leave.signal });
      for await (const line of await follower.logs('etcd', { lines: 2, follow: true })) lines.push(line);
    })();
    await expect.poll(() => lines).toEqual(['b', 'c']);
    log.write('d');
    await expect.poll(() => lines).toEqual(['b', 'c', 'd']);
    leave.abort(new Error('enough'));
    await expect(reading).rejects.toThrow('enough');
    await expect.poll(() => log.followers.size).toBe(0);
  });

  test('logs without follow end', async () => {
    fake.logOf('etcd').write('only');
    const lines: string[] = [];
    for await (const line of await client.logs('etcd', { lines: 100, follow: false })) lines.push(line);
    expect(lines).toEqual(['only']);
  });

  test('events: history from a seq on, then live; the server ends the stream when it closes', async () => {
    for (const text of ['a', 'b', 'c']) fake.events.emit({ type: 'notice', level: 'info', text });
    const seqs: number[] = [];
    const reading = (async () => {
      for await (const line of await client.events({ since: 2, follow: true })) if ('seq' in line) seqs.push(line.seq);
    })();
    await expect.poll(() => seqs).toEqual([2, 3]);
    fake.events.emit({ type: 'notice', level: 'info', text: 'd' });
    await expect.poll(() => seqs).toEqual([2, 3, 4]);
    fake.events.emit({ type: 'notice', level: 'info', text: 'last words' });
    await server.close();
    await reading;
    expect(seqs).toEqual([2, 3, 4, 5]);
  });

  test('a follower that never reads costs bounded memory, and others are served meanwhile', async () => {
    const stalled = connect(socketPath);
    stalled.pause();
    stalled.write('GET /v1/events?follow=1&since=0 HTTP/1.1\r\nhost: x\r\n\r\n');
    const stalledLog = connect(socketPath);
    stalledLog.pause();
    stalledLog.write('GET /v1/units/etcd/logs?follow=1 HTTP/1.1\r\nhost: x\r\n\r\n');
    const log = fake.logOf('etcd');
    await expect.poll(() => log.followers.size).toBe(1);

    const line = 'x'.repeat(1000);
    const write = async (count: number) => {
      for (let number = 0; number < count; number += 1) {
        fake.events.emit({ type: 'notice', level: 'info', text: line });
        log.write(line);
        log.lines.length = 0;
        if (number % 500 === 0) await client.unit('etcd');
      }
    };
    await write(2000);
    const before = process.memoryUsage();
    await write(30_000);
    const after = process.memoryUsage();
    // 30 000 lines of 1 kB to two readers would be 60 MB.
    const grownMb = (after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers) / 1e6;
    expect(grownMb).toBeLessThan(25);

    let text = '';
    stalledLog.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    stalledLog.resume();
    await expect.poll(() => /\((\d+) lines dropped: this reader is too slow\)/.test(text)).toBe(true);
    stalled.destroy();
    stalledLog.destroy();
    await expect.poll(() => log.followers.size).toBe(0);
  });

  test('closing does not wait for a follower that does not read', async () => {
    const stalled = connect(socketPath);
    stalled.pause();
    stalled.on('error', () => undefined);
    stalled.write('GET /v1/units/etcd/logs?follow=1 HTTP/1.1\r\nhost: x\r\n\r\n');
    const log = fake.logOf('etcd');
    await expect.poll(() => log.followers.size).toBe(1);
    for (let number = 0; number < 2000; number += 1) log.write('x'.repeat(1000));
    const sinceMs = performance.now();
    await server.close();
    expect(performance.now() - sinceMs).toBeLessThan(3000);
    expect(log.followers.size).toBe(0);
    stalled.destroy();
  });
});
