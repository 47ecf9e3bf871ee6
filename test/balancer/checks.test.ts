/** L3: checks have their own connections, limits and rhythm. The loop by the fake clock, the kinds on real servers. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkLoop, type CheckResult } from '../../src/balancer/check-loop.ts';
import { createCheck } from '../../src/balancer/create-check.ts';
import { ProbeFailure } from '../../src/probe/probe.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { authority, type Files } from '../probe/certificates.ts';
import { listening, temporaryFolder } from '../probe/probe-fixture.ts';
import { tcpServer } from './servers-kit.ts';

type Answer = 'ok' | 'refused' | 'silent';

/** A loop that asks what `answers` says next; the last answer stays. */
function loop(...answers: Answer[]) {
  const clock = fakeClock();
  const asked: number[] = [];
  const told: [number, string][] = [];
  const use = { isUsed: false };
  const check = checkLoop({
    probe: {
      describe: () => 'check',
      check(signal) {
        asked.push(clock.monotonicMs());
        const answer = answers.length > 1 ? answers.shift() : answers[0];
        if (answer === 'ok') return Promise.resolve();
        if (answer === 'refused') return Promise.reject(new ProbeFailure('ECONNREFUSED'));
        return new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
        });
      },
    },
    pace: { everyMs: 1000, usedEveryMs: 300, withinMs: 400, silences: 2 },
    isUsed: () => use.isUsed,
    clock,
    random: () => 0.5,
    report: (result: CheckResult) =>
      void told.push([clock.monotonicMs(), result.outcome === 'ok' ? 'ok' : result.reason]),
  });
  return { clock, asked, told, check, use };
}

describe('the loop', () => {
  test('asks at once, and again and again', async () => {
    const { clock, asked, told } = loop('ok');
    await clock.advance(2500);
    expect(asked).toEqual([0, 1000, 2000]);
    expect(told).toEqual([
      [0, 'ok'],
      [1000, 'ok'],
      [2000, 'ok'],
    ]);
  });

  test('asks a server that carries connections more often, where that was asked for', async () => {
    const { clock, asked, use } = loop('ok');
    use.isUsed = true;
    await clock.advance(700);
    expect(asked).toEqual([0, 300, 600]);
    use.isUsed = false;
    await clock.advance(1500);
    expect(asked).toEqual([0, 300, 600, 900, 1900]);
  });

  test('believes a refusal at once', async () => {
    const { clock, told } = loop('refused');
    await clock.settle();
    expect(told).toEqual([[0, 'check: ECONNREFUSED']]);
  });

  test('asks a silent server again at once, and only then says so', async () => {
    const { clock, asked, told } = loop('silent');
    await clock.advance(900);
    expect(asked).toEqual([0, 400]);
    expect(told).toEqual([[800, 'check: no answer within 400 ms']]);
  });

  test('one late answer is nothing', async () => {
    const { clock, told } = loop('silent', 'ok');
    await clock.advance(500);
    expect(told).toEqual([[400, 'ok']]);
  });

  test('asks out of turn when it is told to, and then goes on in its rhythm', async () => {
    const { clock, asked, check } = loop('ok');
    await clock.advance(300);
    check.recheck();
    await clock.advance(1500);
    expect(asked).toEqual([0, 300, 1300]);
  });

  test('ends without a word and leaves no timer', async () => {
    const { clock, told, check } = loop('silent');
    await clock.advance(100);
    check[Symbol.dispose]();
    await clock.settle();
    expect([told, clock.pendingTimers]).toEqual([[], 0]);
    check.recheck();
  });
});

describe('the kinds', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let ca: Awaited<ReturnType<typeof authority>>;
  let files: Files;
  beforeAll(async () => {
    folder = temporaryFolder();
    ca = await authority(folder.path, 'test');
    files = await ca.sign('server');
  });
  afterAll(() => folder[Symbol.dispose]());

  const ask = async (kind: Parameters<typeof createCheck>[0], address: string): Promise<string> => {
    const probe = createCheck(kind, address);
    if (probe === undefined) return 'not asked';
    return probe.check(new AbortController().signal).then(
      () => 'ok',
      (error: unknown) => (error as Error).message,
    );
  };

  test('readyz asks the API server itself, over TLS, and names what is not ready', async () => {
    const status = { code: 200 };
    const server = createServer(
      { cert: readFileSync(files.cert), key: readFileSync(files.key) },
      (request, response) => {
        const isAsked = request.url === '/readyz?verbose&exclude=kms';
        response.writeHead(isAsked ? status.code : 404).end('[+]ping ok\n[-]etcd failed: reason withheld\n');
      },
    );
    server.on('tlsClientError', () => undefined);
    await using open = await listening(server);
    const address = `127.0.0.1:${String(open.port)}`;
    const readyz = { kind: 'readyz', ca: ca.ca, exclude: ['kms'] } as const;
    expect(await ask(readyz, address)).toBe('ok');
    status.code = 500;
    expect(await ask(readyz, address)).toBe('500 [-]etcd failed: reason withheld');
    const stranger = await authority(folder.path, 'stranger');
    expect(await ask({ ...readyz, ca: stranger.ca }, address)).toMatch(/^UNABLE_TO_VERIFY|^SELF_SIGNED/);
  });

  test('get asks for a path, on a port of its own if need be', async () => {
    const { createServer: createPlain } = await import('node:http');
    const server = createPlain((request, response) => {
      response.writeHead(request.url === '/health?serializable=true' ? 200 : 404).end();
    });
    await using open = await listening(server);
    const get = { kind: 'get', scheme: 'http', path: '/health?serializable=true' } as const;
    expect(await ask(get, `127.0.0.1:${String(open.port)}`)).toBe('ok');
    expect(await ask({ ...get, path: '/other' }, `127.0.0.1:${String(open.port)}`)).toBe('404');
    expect(await ask({ ...get, port: open.port }, '127.0.0.1:1')).toBe('ok');
  });

  test('tcp asks whether somebody accepts connections', async () => {
    await using server = await tcpServer();
    expect(await ask({ kind: 'tcp' }, server.address)).toBe('ok');
    await server.stop();
    expect(await ask({ kind: 'tcp' }, server.address)).toBe('ECONNREFUSED');
  });

  test('none asks nothing', async () => {
    expect(await ask({ kind: 'none' }, '127.0.0.1:1')).toBe('not asked');
  });
});
