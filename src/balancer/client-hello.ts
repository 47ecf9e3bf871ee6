/**
 * Whether a connection may carry several requests at once, by the first words of its client: TLS names the protocols
 * that the client can speak (ALPN) before anything is encrypted, and HTTP/2 without TLS begins with words of its own.
 * Which one the server chooses is secret. Pure.
 *
 * Source: RFC 8446 (ClientHello), RFC 7301 (ALPN), RFC 9113, section 3.4 (preface).
 */

const handshakeRecord = 22;
const clientHello = 1;
const alpnExtension = 16;
const preface = Buffer.from('PRI * HTTP/2.0\r\n');
const http2 = 'h2';

/** As far as anybody needs to read: one record. */
export const longestHelloBytes = 16 * 1024 + 5;

export const isTls = (words: Buffer): boolean => words[0] === handshakeRecord;

/** What is cut off, or in several records, or no greeting at all after the first byte of one, counts as yes. */
export function mayShare(words: Buffer): boolean {
  if (!isTls(words)) return words.subarray(0, preface.length).equals(preface);
  try {
    return offersHttp2(words);
  } catch {
    return true;
  }
}

/** @throws RangeError when there is less than it says */
function offersHttp2(words: Buffer): boolean {
  const record = part(words, 5, words.readUInt16BE(3));
  if (record.readUInt8(0) !== clientHello) throw new RangeError('no ClientHello');
  const hello = part(record, 4, record.readUIntBE(1, 3));
  // Version and random; then the session, the ciphers and the compressions, each behind its length.
  let at = 2 + 32;
  at += 1 + hello.readUInt8(at);
  at += 2 + hello.readUInt16BE(at);
  at += 1 + hello.readUInt8(at);
  if (at === hello.length) return false;
  const extensions = part(hello, at + 2, hello.readUInt16BE(at));
  for (let next = 0; next < extensions.length;) {
    const content = part(extensions, next + 4, extensions.readUInt16BE(next + 2));
    if (extensions.readUInt16BE(next) === alpnExtension) return protocolsOf(content).includes(http2);
    next += 4 + content.length;
  }
  return false;
}

function protocolsOf(alpn: Buffer): readonly string[] {
  const list = part(alpn, 2, alpn.readUInt16BE(0));
  const names: string[] = [];
  for (let at = 0; at < list.length;) {
    const name = part(list, at + 1, list.readUInt8(at));
    names.push(name.toString('latin1'));
    at += 1 + name.length;
  }
  return names;
}

function part(of: Buffer, from: number, length: number): Buffer {
  if (from + length > of.length) throw new RangeError('cut off');
  return of.subarray(from, from + length);
}
