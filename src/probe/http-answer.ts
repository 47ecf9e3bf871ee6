/**
 * Reads what a server answers to a GET: as much of HTTP/1.1 (RFC 9112) as a check needs. Pure.
 *
 * Not node:http: its client takes twice as long for one question, and longer still for the first, which is most
 * of the time between "is ready" and "was noticed".
 */
import { oneLine } from './outcome.ts';
import { ProbeFailure } from './probe.ts';

export interface HttpAnswer {
  readonly status: number;
  /** Its first 64 KiB; empty where nobody wants it. */
  readonly body: string;
  /** Read to its end, and the server keeps the connection. */
  readonly reusable: boolean;
}

/** What arrived so far. */
export interface Received {
  /** As latin1: one character for each byte. */
  readonly text: string;
  /** The server will send no more. */
  readonly hasEnded: boolean;
}

const maxBody = 64 * 1024;
/** Node.js takes heads of 16 KiB, Go of 1 MiB. */
const maxHead = 64 * 1024;
/** All that is read of one answer: what is framed with more than this is no answer to a check. */
const maxText = 512 * 1024;
/** The size of a chunk and what may stand beside it. */
const maxChunkLine = 1024;

/**
 * @param wantsBody - whether the body of an answer with this status is of interest
 * @returns undefined as long as more has to come
 * @throws {@link ProbeFailure} 'does not speak HTTP: "SSH-2.0-OpenSSH"', 'closed without an answer'
 */
export function readAnswer(received: Received, wantsBody: (status: number) => boolean): HttpAnswer | undefined {
  const { hasEnded } = received;
  // A server may end the answer before with one line too many (RFC 9112, 2.2).
  const text = received.text.replace(/^(?:\r?\n)+/, '');
  const answer = answerIn(text, hasEnded, wantsBody);
  if (answer === undefined && text.length > maxText) throw new ProbeFailure('the answer does not come to an end');
  return answer;
}

function answerIn(text: string, hasEnded: boolean, wantsBody: (status: number) => boolean): HttpAnswer | undefined {
  // An interim answer (100, 103) is followed by another one.
  for (let at = 0; ;) {
    const rest = text.slice(at);
    const head = headOf(rest, hasEnded);
    if (head === undefined) return undefined;
    if (head.status < 200 && head.status !== 101) {
      at += head.length;
      continue;
    }
    if (!wantsBody(head.status)) return { status: head.status, body: '', reusable: false };
    const body = bodyOf(rest.slice(head.length), hasEnded, head);
    if (body === undefined) return undefined;
    return { status: head.status, body: utf8(body.text), reusable: body.isWhole && head.staysOpen };
  }
}

interface Head {
  readonly status: number;
  /** With the empty line that ends it. */
  readonly length: number;
  readonly staysOpen: boolean;
  readonly isChunked: boolean;
  readonly contentLength: number | undefined;
}

const begin = 'HTTP/1.';
const statusLine = /^HTTP\/1\.([01]) (\d{3})(?:[ \r\n]|$)/;

function headOf(text: string, hasEnded: boolean): Head | undefined {
  if (!begin.startsWith(text.slice(0, begin.length))) throw notHttp(text);
  const end = /\r?\n\r?\n/.exec(text);
  if (end === null) {
    if (hasEnded)
      throw new ProbeFailure(text === '' ? 'closed without an answer' : 'closed in the middle of an answer');
    if (text.length > maxHead) throw new ProbeFailure('the head of the answer is longer than 64 KiB');
    return undefined;
  }
  const head = text.slice(0, end.index);
  const [, minor, status] = statusLine.exec(head) ?? [];
  if (status === undefined) throw notHttp(text);
  const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*?)[ \\t\\r]*$`, 'im').exec(head)?.[1]?.toLowerCase();
  const length = field('content-length');
  const connection = field('connection');
  return {
    status: Number(status),
    length: end.index + end[0].length,
    staysOpen: minor === '1' && connection !== 'close',
    isChunked: field('transfer-encoding')?.endsWith('chunked') === true,
    contentLength: hasNoBody(Number(status))
      ? 0
      : length !== undefined && /^\d+$/.test(length)
        ? Number(length)
        : undefined,
  };
}

/** Source: RFC 9112, 6.3. */
function hasNoBody(status: number): boolean {
  return status < 200 || status === 204 || status === 304;
}

interface Body {
  readonly text: string;
  readonly isWhole: boolean;
}

function bodyOf(text: string, hasEnded: boolean, { isChunked, contentLength }: Head): Body | undefined {
  const body = isChunked ? unchunked(text) : withLength(text, contentLength);
  if (body.isWhole) return body;
  // Of a body without a length the end is the connection's; a broken one is told as far as it came.
  const enough = isChunked ? maxBody : Math.min(maxBody, contentLength ?? maxBody);
  if (hasEnded || body.text.length >= enough) return { text: body.text.slice(0, maxBody), isWhole: false };
  return undefined;
}

function withLength(text: string, length: number | undefined): Body {
  if (length === undefined || length > maxBody) return { text, isWhole: false };
  // What comes after it belongs to no question of ours: the connection is of no more use.
  return { text: text.slice(0, length), isWhole: text.length === length };
}

/** The chunks that are there, without their sizes, and whether the last one is among them. */
function unchunked(text: string): Body {
  let body = '';
  for (let at = 0; ;) {
    const size = /^([0-9a-f]{1,8})[^\n]*\n/i.exec(text.slice(at, at + maxChunkLine));
    if (size === null) {
      const line = text.slice(at, at + maxChunkLine);
      if (line.includes('\n') || line.length === maxChunkLine)
        throw new ProbeFailure('a chunk of the answer is broken');
      return { text: body, isWhole: false };
    }
    const length = parseInt(size[1] ?? '', 16);
    at += size[0].length;
    if (length === 0) return { text: body, isWhole: /^(?:[^\r\n]+\r?\n)*\r?\n/.test(text.slice(at)) };
    body += text.slice(at, at + length);
    if (text.length < at + length + 2 || body.length >= maxBody) return { text: body, isWhole: false };
    at += length + 2;
  }
}

function notHttp(text: string): ProbeFailure {
  return new ProbeFailure(`does not speak HTTP: "${oneLine(utf8(text)).slice(0, 40)}"`);
}

function utf8(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString('utf8');
}
