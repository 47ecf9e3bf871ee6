import { readFileSync } from 'node:fs';
import { createSecureServer, createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createProbe } from '../../src/probe/create-probe.ts';
import { GrpcError } from '../../src/probe/grpc-session.ts';
import { grpcStream } from '../../src/probe/grpc-stream.ts';
import { grpcUnary } from '../../src/probe/grpc-unary.ts';
import type { GrpcRecipe } from '../../src/probe/probe-spec.ts';
import { bytesField, decodeFields, encodeVarint, integerOf, stringOf, varintField } from '../../src/probe/protobuf.ts';
import { authority } from './certificates.ts';
import { contextOf, failed, failureOf, listening, openHandles, passes, temporaryFolder } from './probe-fixture.ts';

type Handler = (
  path: string,
  message: Uint8Array,
) => Uint8Array | { readonly status: number; readonly message: string };

/** A gRPC server in as few lines as the protocol allows. */
function answering<T extends Http2Server>(server: T, handler: Handler): T {
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on('error', () => undefined);
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      const answer = handler(String(headers[':path']), Buffer.concat(chunks).subarray(5));
      const common = { ':status': 200, 'content-type': 'application/grpc' };
      if (!(answer instanceof Uint8Array)) {
        stream.respond(
          { ...common, 'grpc-status': String(answer.status), 'grpc-message': encodeURIComponent(answer.message) },
          { endStream: true },
        );
        return;
      }
      stream.respond(common, { waitForTrailers: true });
      stream.on('wantTrailers', () => {
        stream.sendTrailers({ 'grpc-status': '0' });
      });
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(answer.length, 1);
      stream.end(Buffer.concat([prefix, answer]));
    });
  });
  return server;
}

const serving = varintField(1, 1);
const notServing = varintField(1, 2);
const health = (recipe: GrpcRecipe) => createProbe({ grpc: recipe }, contextOf());

test('the health service is asked for a service and must answer SERVING', async () => {
  const asked: string[] = [];
  let answer: Uint8Array = notServing;
  const server = answering(createServer(), (path, message) => {
    asked.push(`${path} ${stringOf(decodeFields(message), 1)}`);
    return answer;
  });
  await using open = await listening(server);
  const before = openHandles();
  const probe = health({ address: `127.0.0.1:${open.port}`, service: 'etcd' });
  expect(await failureOf(probe)).toBe('NOT_SERVING');
  answer = serving;
  await passes(probe);
  expect(asked[0]).toBe('/grpc.health.v1.Health/Check etcd');
  expect(probe.describe()).toBe(`grpc health of etcd 127.0.0.1:${open.port}`);
  await expect.poll(openHandles).toBeLessThanOrEqual(before);
});

test('a container runtime is asked for its version on a unix socket', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'containerd.sock');
  let ready = false;
  const server = answering(createServer(), (asked) =>
    ready && asked === '/runtime.v1.RuntimeService/Version'
      ? Buffer.concat([bytesField(1, '0.1.0'), bytesField(2, 'containerd'), bytesField(3, 'v2.1.0')])
      : { status: 12, message: 'unknown service runtime.v1.RuntimeService' },
  );
  const probe = health({ address: `unix://${path}`, cri: true });
  expect(await failureOf(probe)).toBe('ENOENT');
  await using _open = await listening(server, path);
  const failure = await failed(probe);
  expect(failure.message).toBe('UNIMPLEMENTED: unknown service runtime.v1.RuntimeService');
  expect(failure.hint).toContain('CRI plugin');
  ready = true;
  await passes(probe);
});

test('a health service can be asked over TLS with a client certificate', async () => {
  using folder = temporaryFolder();
  const ca = await authority(folder.path, 'test');
  const files = await ca.sign('server');
  const client = await ca.sign('client');
  const server = createSecureServer({
    ...{ cert: readFileSync(files.cert), key: readFileSync(files.key), ca: readFileSync(ca.ca) },
    requestCert: true,
  });
  server.on('sessionError', () => undefined);
  await using open = await listening(answering(server as unknown as Http2Server, () => serving));
  await passes(health({ address: `127.0.0.1:${open.port}`, ca: ca.ca, ...client }));
  expect(await failureOf(health({ address: `127.0.0.1:${open.port}`, ca: ca.ca }))).toMatch(
    /certificate required|ECONNRESET|closed/,
  );
});

test('a status, a message and an answer that is too long or cut come out as errors', async () => {
  let answer: ReturnType<Handler> = { status: 5, message: 'unknown service: 100 % wrong' };
  await using open = await listening(answering(createServer(), () => answer));
  const call = () =>
    grpcUnary({
      address: { kind: 'tcp', host: '127.0.0.1', port: open.port },
      path: '/test.Service/Method',
      message: new Uint8Array(),
      signal: new AbortController().signal,
    });
  await expect(call()).rejects.toEqual(new GrpcError(5, 'unknown service: 100 % wrong'));
  answer = new Uint8Array(5 * 1024 * 1024);
  await expect(call()).rejects.toThrow('longer than 4 MiB');
  answer = new Uint8Array();
  await expect(call()).resolves.toHaveLength(0);
});

test('a stream of messages comes whole and in order, held back by who takes them, and ends with its status', async () => {
  let status = '0';
  const server = createServer();
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.on('error', () => undefined);
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status, 'grpc-message': 'stopped' }));
    const messages = Array.from({ length: 300 }, (_, at) => {
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(1000 + at, 1);
      return Buffer.concat([prefix, Buffer.alloc(1000 + at, at % 256)]);
    });
    stream.end(Buffer.concat(messages));
  });
  await using open = await listening(server);
  const before = openHandles();
  const lengths: number[] = [];
  let taking = 0;
  const call = (take: (message: Uint8Array) => Promise<void>, signal = new AbortController().signal) =>
    grpcStream(
      {
        ...{ address: { kind: 'tcp', host: '127.0.0.1', port: open.port }, path: '/test.Service/Stream' },
        ...{ message: new Uint8Array(), signal },
      },
      take,
    );
  await call(async (message) => {
    expect(++taking).toBe(1);
    await new Promise(setImmediate);
    taking -= 1;
    lengths.push(message.length);
    expect(message[message.length - 1]).toBe(message[0]);
  });
  expect(lengths).toEqual(Array.from({ length: 300 }, (_, at) => 1000 + at));
  status = '14';
  await expect(call(() => Promise.resolve())).rejects.toEqual(new GrpcError(14, 'stopped'));
  await expect(call(() => Promise.reject(new Error('disk full')))).rejects.toThrow('disk full');
  const controller = new AbortController();
  const reason = new Error('enough');
  await expect(
    call(() => {
      controller.abort(reason);
      return Promise.resolve();
    }, controller.signal),
  ).rejects.toBe(reason);
  await expect.poll(openHandles).toBeLessThanOrEqual(before);
});

test('servers that are no gRPC servers fail in one line and leave nothing open', async () => {
  await using closing = await listening(createTcpServer((socket) => socket.destroy()));
  await using other = await listening(createTcpServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
  const before = openHandles();
  for (const { port } of [closing, other]) {
    expect(await failureOf(health({ address: `127.0.0.1:${port}` }))).not.toMatch(/\n|^$/);
  }
  await expect.poll(openHandles).toBeLessThanOrEqual(before);
});

test('an abort ends a call that is not answered', async () => {
  await using open = await listening(createTcpServer());
  const before = openHandles();
  const controller = new AbortController();
  const check = health({ address: `127.0.0.1:${open.port}` }).check(controller.signal);
  const reason = new Error('enough');
  setTimeout(() => {
    controller.abort(reason);
  }, 20);
  await expect(check).rejects.toBe(reason);
  await open[Symbol.asyncDispose]();
  await expect.poll(openHandles).toBeLessThanOrEqual(before);
});

test('protobuf fields are read as they were written', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.string(), (number, text) => {
      const fields = decodeFields(Buffer.concat([varintField(1, number), bytesField(2, text)]));
      expect(integerOf(fields, 1)).toBe(Number(number));
      expect(stringOf(fields, 2)).toBe(Buffer.from(text).toString('utf8'));
    }),
  );
  expect(encodeVarint(300)).toEqual([0xac, 0x02]); // Source: the example of protobuf.dev, "Encoding".
});

test('a protobuf message that is cut short or foreign throws instead of reading past its end', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        for (const field of decodeFields(bytes)) expect(field.number).toBeGreaterThanOrEqual(0);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }),
  );
  expect(() => decodeFields(Uint8Array.of(0x0a, 0x05, 0x61))).toThrow('cut short');
  expect(() => decodeFields(Uint8Array.of(0x0b))).toThrow('wire type 3');
});
