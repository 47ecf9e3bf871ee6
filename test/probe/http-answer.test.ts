import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readAnswer, type HttpAnswer } from '../../src/probe/http-answer.ts';
import { ProbeFailure } from '../../src/probe/probe.ts';

const always = () => true;
const read = (text: string, hasEnded = false) => readAnswer({ text, hasEnded }, always);

const whole = (status: number, body = ''): HttpAnswer => ({ status, body, reusable: true });
const last = (status: number, body = ''): HttpAnswer => ({ status, body, reusable: false });

test.each<[string, string, HttpAnswer]>([
  ['a length', 'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nnot', whole(500, 'not')],
  ['a length, more than it', 'HTTP/1.1 500 X\r\ncontent-length: 3\r\n\r\nnot yet', last(500, 'not')],
  ['an empty line first', '\r\nHTTP/1.1 204 No\r\n\r\n', whole(204)],
  ['no reason', 'HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n', whole(200)],
  [
    'chunks',
    'HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnot\r\n4;a=b\r\n yet\r\n0\r\n\r\n',
    whole(503, 'not yet'),
  ],
  [
    'chunks and trailers',
    'HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n',
    whole(503, 'x'),
  ],
  ['no content', 'HTTP/1.1 204 No Content\r\n\r\n', whole(204)],
  ['an interim answer first', 'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n', whole(204)],
  ['a server that closes', 'HTTP/1.1 500 X\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx', last(500, 'x')],
  ['HTTP/1.0', 'HTTP/1.0 400 Bad Request\r\nContent-Length: 1\r\n\r\nx', last(400, 'x')],
  ['lines that end with one character', 'HTTP/1.1 500 X\nContent-Length: 1\n\nx', whole(500, 'x')],
  [
    'a body in UTF-8',
    `HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\n${Buffer.from('ü').toString('latin1')}`,
    whole(500, 'ü'),
  ],
])('%s', (_name, text, answer) => {
  expect(read(text)).toEqual(answer);
});

test('whatever is cut off is waited for, and no prefix is taken for something else', () => {
  const text = 'HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nnot yet\r\n0\r\n\r\n';
  for (let length = 0; length < text.length; length += 1) expect(read(text.slice(0, length))).toBeUndefined();
  expect(read(text)).toEqual(whole(503, 'not yet'));
});

test('a body that ends with the connection, or too early, is told as far as it came', () => {
  expect(read('HTTP/1.1 500 X\r\n\r\nbroken')).toBeUndefined();
  expect(read('HTTP/1.1 500 X\r\n\r\nbroken', true)).toEqual(last(500, 'broken'));
  expect(read('HTTP/1.1 500 X\r\nContent-Length: 9\r\n\r\nbroken', true)).toEqual(last(500, 'broken'));
  expect(read('HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nbroken', true)).toEqual(last(500, 'broken'));
});

test('of a long body the first 64 KiB count, and the rest is not waited for', () => {
  const long = 'x'.repeat(70_000);
  for (const head of ['Content-Length: 80000', 'A: b', 'Content-Length: 99999999999999999999'])
    expect(read(`HTTP/1.1 500 X\r\n${head}\r\n\r\n${long}`)).toEqual(last(500, 'x'.repeat(65_536)));
  const chunk = `HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n${long}`;
  expect(read(chunk)).toEqual(last(500, 'x'.repeat(65_536)));
});

test('a body that nobody wants is not waited for', () => {
  const text = 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n';
  expect(readAnswer({ text, hasEnded: false }, (status) => status !== 200)).toEqual(last(200));
});

test.each([
  ['SSH-2.0-OpenSSH\r\n', false, 'does not speak HTTP: "SSH-2.0-OpenSSH"'],
  ['HTTP/2 200\r\n\r\n', false, 'does not speak HTTP: "HTTP/2 200"'],
  ['HTTP/1.1 abc\r\n\r\n', false, 'does not speak HTTP: "HTTP/1.1 abc"'],
  ['\u00c3\u00bc\u009b31m', false, 'does not speak HTTP: "ü\ufffd31m"'],
  ['HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n', false, 'a chunk of the answer is broken'],
  [
    `HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n5;${'x'.repeat(2_000)}`,
    false,
    'a chunk of the answer is broken',
  ],
  [
    `HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${'a: b\r\n'.repeat(100_000)}`,
    false,
    'the answer does not come to an end',
  ],
  ['HTTP/1.1 100 Continue\r\n\r\n'.repeat(30_000), false, 'the answer does not come to an end'],
  ['', true, 'closed without an answer'],
  ['HTTP/1.1 20', true, 'closed in the middle of an answer'],
  [`HTTP/1.1 200 OK\r\nA: ${'x'.repeat(70_000)}`, false, 'the head of the answer is longer than 64 KiB'],
])('%j is refused in one line', (text, hasEnded, message) => {
  expect(() => read(text, hasEnded)).toThrow(new ProbeFailure(message));
});

test('nothing that arrives ends otherwise than with an answer, a wait or a failure of the check', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'HTTP/1.1 200 OK',
      '\r\n',
      '\n',
      'Content-Length: ',
      'Transfer-Encoding: chunked',
      '5\r\n',
      '0\r\n\r\n',
    ),
    fc.string({ maxLength: 20, unit: 'binary' }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), fc.boolean(), (pieces, hasEnded) => {
      try {
        const answer = read(pieces.join(''), hasEnded);
        if (hasEnded) expect(answer).toBeDefined();
      } catch (error) {
        expect(error).toBeInstanceOf(ProbeFailure);
      }
    }),
    { numRuns: 2_000 },
  );
});
