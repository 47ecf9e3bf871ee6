import { createServer, type RequestListener } from 'node:http';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { createProbe } from '../../src/probe/create-probe.ts';
import { httpProbe } from '../../src/probe/http.ts';
import type { HttpRecipe } from '../../src/probe/probe-spec.ts';
import { untilReady } from '../../src/probe/until-ready.ts';
import { contextOf, failed, failureOf, listening, openHandles, passes, patience } from './probe-fixture.ts';

async function serving(answer: RequestListener) {
  const asked: string[] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    answer(request, response);
  });
  server.on('connection', () => (connections += 1));
  const open = await listening(server);
  return {
    ...open,
    asked,
    connections: () => connections,
    probe: (path: string, more: Partial<HttpRecipe> = {}) =>
      createProbe({ http: { url: `http://127.0.0.1:${open.port}${path}`, ...more } }, contextOf()),
    [Symbol.asyncDispose]: () => open[Symbol.asyncDispose](),
  };
}

const readyz =
  '[+]ping ok\n[+]log ok\n[-]etcd failed: reason withheld\n[-]informer-sync failed: reason withheld\nreadyz check failed\n';

test('[S4] a Kubernetes endpoint is asked for its checks, and the failed ones are named', async () => {
  await using server = await serving((_request, response) => {
    response.writeHead(500).end(readyz);
  });
  const probe = server.probe('/readyz', { exclude: ['poststarthook/slow', 'shutdown'] });
  expect(probe.describe()).toBe('http /readyz');
  expect(await failureOf(probe)).toBe('500 [-]etcd failed: reason withheld, [-]informer-sync failed: reason withheld');
  expect(server.asked).toEqual(['/readyz?verbose&exclude=poststarthook%2Fslow&exclude=shutdown']);
});

test('other paths are asked as they are written', async () => {
  await using server = await serving((_request, response) => response.end('fine'));
  await passes(server.probe('/health?full=1'));
  expect(server.asked).toEqual(['/health?full=1']);
});

test('a status outside 2xx fails with the first line of the answer', async () => {
  await using server = await serving((_request, response) => {
    response.writeHead(503).end('\u001b[31mwarming up\u001b[0m\nand more');
  });
  expect(await failureOf(server.probe('/'))).toBe('503 warming up');
});

test('one status may be asked for, and 200 is then not it', async () => {
  let status = 401;
  await using server = await serving((_request, response) => {
    response.writeHead(status).end();
  });
  await passes(server.probe('/', { status: 401 }));
  status = 200;
  expect(await failureOf(server.probe('/', { status: 401 }))).toBe('200');
});

test('a refusal of the credentials comes with a hint', async () => {
  await using server = await serving((_request, response) => {
    response.writeHead(403).end('Forbidden');
  });
  expect((await failed(server.probe('/readyz'))).hint).toContain('credentials');
});

test('the body must match, and headers are sent', async () => {
  await using server = await serving((request, response) => {
    response.end(`{"health":"${String(request.headers['x-ask'])}"}`);
  });
  await passes(server.probe('/', { body: '"health":"true"', headers: { 'x-ask': 'true' } }));
  expect(await failureOf(server.probe('/', { body: '"health":"true"' }))).toBe(
    '200, but the body does not match /"health":"true"/',
  );
});

test('a server that says "not yet" is asked again on the same connection, and nothing stays open after it passed', async () => {
  let ready = false;
  await using server = await serving((_request, response) => {
    response.writeHead(ready ? 200 : 500).end(readyz);
  });
  const before = openHandles();
  const outcome = untilReady(patience(server.probe('/readyz')));
  await expect.poll(() => server.asked.length).toBeGreaterThan(3);
  ready = true;
  await outcome;
  expect(server.connections()).toBe(1);
  await expect.poll(openHandles).toBeLessThanOrEqual(before);
});

test('nothing stays open when a start is given up between two answers', async () => {
  await using server = await serving((_request, response) => {
    response.writeHead(500).end(readyz);
  });
  const before = openHandles();
  const controller = new AbortController();
  const outcome = untilReady(patience(server.probe('/readyz'), { signal: controller.signal }));
  outcome.catch(() => undefined);
  await expect.poll(() => server.asked.length).toBeGreaterThan(2);
  controller.abort(new Error('given up'));
  await expect(outcome).rejects.toThrow('given up');
  await expect.poll(openHandles, { timeout: 5_000 }).toBeLessThanOrEqual(before);
});

test('a server that accepts and never answers fails the attempt in time and leaves nothing open', async () => {
  await using server = await listening(createTcpServer());
  const before = openHandles();
  const outcomes: string[] = [];
  const probe = createProbe({ http: { url: `http://127.0.0.1:${server.port}/` } }, contextOf());
  const controller = new AbortController();
  const outcome = untilReady(
    patience(probe, {
      attemptTimeoutMs: 30,
      signal: controller.signal,
      onAttempt: ({ outcome }) => outcomes.push(outcome),
    }),
  );
  outcome.catch(() => undefined);
  await expect.poll(() => outcomes).toContain('no answer within 30 ms');
  controller.abort(new Error('seen enough'));
  await expect(outcome).rejects.toThrow('seen enough');
  await server[Symbol.asyncDispose]();
  await expect.poll(openHandles).toBeLessThanOrEqual(before);
});

test('a server that closes without an answer, or speaks something else, fails in one line', async () => {
  await using rude = await listening(createTcpServer((socket) => socket.destroy()));
  await using other = await listening(createTcpServer((socket) => socket.end('SSH-2.0-OpenSSH\r\n')));
  const ask = (port: number) => createProbe({ http: { url: `http://127.0.0.1:${port}/` } }, contextOf());
  expect(await failureOf(ask(rude.port))).toMatch(/^(closed without an answer|ECONNRESET)$/);
  expect(await failureOf(ask(other.port))).toBe('does not speak HTTP: "SSH-2.0-OpenSSH"');
});

test('whose an answer is that ends with its connection can still be read of it', async () => {
  await using server = await listening(createTcpServer((socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nhealthy')));
  const from: (string | undefined)[] = [];
  const owner = {
    nobodyListens: () => undefined,
    verify: (_address: unknown, socket?: Socket) => void from.push(socket?.remoteAddress),
  };
  const url = new URL(`http://127.0.0.1:${server.port}/`);
  await passes(httpProbe({ url, body: /healthy/, owner }));
  expect(from).toEqual(['127.0.0.1']);
});

test('an endless body is not read to its end', async () => {
  let sent = 0;
  await using server = await serving((_request, response) => {
    response.writeHead(500);
    const more = () => {
      while (response.write('x'.repeat(16_384))) sent += 16_384;
      response.once('drain', more);
    };
    more();
  });
  expect(await failureOf(server.probe('/'))).toMatch(/^500 x+$/);
  expect(sent).toBeLessThan(50_000_000);
});
